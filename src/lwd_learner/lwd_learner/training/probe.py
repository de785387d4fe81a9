"""Fixed observations and fixed noise, sampled again and again: how far the policy has moved, and whether Q likes it.

Losses say little of either. The same observations are used all through a stage, so that a curve is a curve.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from lwd_policy_node.policy import Policy
from torch import Tensor

from lwd_learner.algorithms import divl
from lwd_learner.replay import DATASETS, Replay, Transitions
from lwd_learner.training.accelerate import uncompiled_copy
from lwd_learner.training.features import FeatureCache
from lwd_learner.training.learner import Learner

OBSERVATIONS = 64
Info = dict[str, float]


class Probe:
    """Measures the policy of a learner on observations that stay the same."""

    def __init__(
        self, replay: Replay, policy: Policy, features: FeatureCache, start: Path | None
    ) -> None:
        """Choose equally spaced observations of the offline data.

        Args:
            replay: where from.
            policy: gives normalisation and sentences.
            features: of the observations.
            start: the policy that drift is measured from (the SFT checkpoint); None: as `policy` is now.
        """
        name = DATASETS[0]
        starts = Transitions(replay, policy.config.horizon).starts(name)
        chosen = starts[
            np.linspace(0, len(starts) - 1, min(OBSERVATIONS, len(starts))).astype(int)
        ]
        index = replay.index(name)
        self._features = features.take(replay.global_rows(name, chosen))
        self._state = torch.from_numpy(index.state.take(chosen))
        words = [replay.instructions[i] for i in index.instruction.data[chosen].tolist()]
        self._text = policy.sentences.embed(words)
        self._noise = policy.start_noise(range(len(chosen)))
        self._start = self._chunks(policy if start is None else Policy.load(start))

    @torch.no_grad()
    def measure(self, learner: Learner) -> tuple[Info, dict[str, Tensor]]:
        """Drift and Q as numbers; V's distribution, tau, entropy and Q as values to be drawn.

        Returns:
            what to log, and by name ``v`` (K,) the mean probability of each atom, ``tau``, ``entropy`` and ``q`` (N,).
        """
        chunk = self._chunks(learner.policy)
        norm = self._start.norm(dim=-1).mean()
        info = {'action_drift': ((chunk - self._start).norm(dim=-1).mean() / norm).item()}
        if not learner.method.values:
            return info, {}
        critic, device, policy = learner.critic_ema, learner.device, learner.policy
        readout = critic.readout(
            self._features.to(device),
            self._text.to(device),
            policy.norm.state(self._state).to(device),
        )
        steps = torch.ones(len(chunk), policy.config.horizon, dtype=torch.bool, device=device)
        q, q_start = (critic.q(readout, c.to(device), steps).amin(0) for c in (chunk, self._start))
        logits = critic.value_logits(readout)
        info |= {'q': q.mean().item(), 'q_gain': (q - q_start).mean().item()}
        drawn = {
            'v': logits.softmax(-1).mean(0),
            'tau': divl.adaptive_tau(logits, learner.divl_config),
            'entropy': divl.normalised_entropy(logits),
            'q': q,
        }
        return info, {name: tensor.float().cpu() for name, tensor in drawn.items()}

    @torch.no_grad()
    def _chunks(self, policy: Policy) -> Tensor:
        """Normalised chunks (N, D) from the fixed noise."""
        if next(policy.expert.parameters()).device.type != 'cpu':
            policy = uncompiled_copy(policy).cpu()
        return policy.sample(self._features, self._text, self._state, self._noise)
