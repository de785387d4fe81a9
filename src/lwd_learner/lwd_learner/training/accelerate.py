"""Where and in what precision networks are trained. Everything here is idle on a CPU with the defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lwd_learner.training.config import TrainConfig

if TYPE_CHECKING:
    from lwd_learner.training.learner import Learner


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


def autocast(config: TrainConfig) -> torch.autocast:
    """A context in which products have the configured precision."""
    enabled = config.precision == 'bfloat16'
    return torch.autocast(config.device, dtype=torch.bfloat16, enabled=enabled)


def compile_networks(learner: Learner) -> None:
    """Compile what an update calls most; weights and checkpoints stay as they are."""
    critics = (learner.critic, learner.critic_ema)
    targets: list[tuple[object, str]] = [
        (critic, name) for critic in critics for name in ('readout', 'value_logits', 'q')
    ]
    targets += [(learner.clone.head, 'from_context'), (learner.policy.expert.head, 'from_context')]
    if learner.policy.edit is not None:
        targets.append((learner.policy.edit.head, 'from_context'))
    for owner, name in targets:
        setattr(owner, name, torch.compile(getattr(owner, name)))
