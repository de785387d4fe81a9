"""Where and in what precision networks are trained. Everything here is idle on a CPU with the defaults."""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING

import torch
from lwd_policy_node.policy import Policy

from lwd_learner.training.config import TrainConfig

if TYPE_CHECKING:
    from lwd_learner.training.learner import Learner

OUT_OF_MEMORY = (
    'out of GPU memory; a smaller --rl.batch-size, --sft.batch-size or --preset needs less'
)
HEAD_METHOD = 'from_context'
"""Of every head: the pass that is compiled."""


def device_of(config: TrainConfig, rank: int = 0) -> torch.device:
    """The configured device; of several GPUs that of this rank.

    Raises:
        ValueError: it is not there, or what was asked of it is not possible.
    """
    if config.device == 'cuda' and not torch.cuda.is_available():
        raise ValueError('device cuda: torch sees no GPU here; use --device cpu')
    if config.compile and config.device == 'cpu':
        raise ValueError(
            'compile is for a GPU (--device cuda): small networks gain nothing on a CPU'
        )
    low = config.device == 'cuda' and config.precision == 'bfloat16'
    if low and not torch.cuda.is_bf16_supported():
        raise ValueError('precision bfloat16: this GPU has none; use --precision float32')
    return torch.device('cuda', rank) if config.device == 'cuda' else torch.device('cpu')


def share_of_threads(threads: int, processes: int) -> int:
    """torch threads of each of so many processes; `threads` of all together, 0 for every core that these may use."""
    return max(1, (threads or len(os.sched_getaffinity(0))) // processes)


def autocast(config: TrainConfig) -> torch.autocast:
    """A context in which products have the configured precision."""
    enabled = config.precision == 'bfloat16'
    return torch.autocast(config.device, dtype=torch.bfloat16, enabled=enabled)


def uncompiled_copy(policy: Policy) -> Policy:
    """A copy that calls its own networks: what `compile_networks` put in place is copied by reference."""
    copied = copy.deepcopy(policy)
    for module in copied.modules():
        module.__dict__.pop(HEAD_METHOD, None)
    return copied


def compile_networks(learner: Learner) -> None:
    """Compile what an update calls most; weights and checkpoints stay as they are."""
    critics = (learner.critic, learner.critic_ema)
    targets: list[tuple[object, str]] = [
        (critic, name) for critic in critics for name in ('readout', 'value_logits', 'q')
    ]
    targets += [(learner.clone.head, HEAD_METHOD), (learner.policy.expert.head, HEAD_METHOD)]
    if learner.policy.edit is not None:
        targets.append((learner.policy.edit.head, HEAD_METHOD))
    for owner, name in targets:
        setattr(owner, name, torch.compile(getattr(owner, name)))
