"""Transitions at chunk level from episodes of single steps: n-step targets over chunks of H actions.

Written for rewards that belong to the state an action is taken in, as OGBench's single tasks have them: an episode ends
in the first state that is a success, that state's value is 0, and no reward behind it counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from lwd_learner.state_learner.qam_update import StateBatch


@dataclass(frozen=True, slots=True)
class Steps:
    """Episodes of single steps, one after the other."""

    observation: np.ndarray
    """(N, S) float32."""
    action: np.ndarray
    """(N, A) float32 in [-1, 1]; that of an episode's last state leads nowhere."""
    reward: np.ndarray
    """(N,) of the action taken in the state."""
    success: np.ndarray
    """(N,) bool, whether the state is a success."""
    last: np.ndarray
    """(N,) int, index of the last state of the state's episode."""


@dataclass(frozen=True, slots=True)
class Windows:
    """What y of a chunk is made of, for each of M chunks."""

    start: np.ndarray
    """(M,) index of the state that the chunk starts in."""
    reward: np.ndarray
    """(M,) discounted sum inside the window of n chunks, up to an end."""
    discount: np.ndarray
    """(M,) of the bootstrap value: gamma^(steps to it), 0 if the window holds or reaches a success."""
    bootstrap: np.ndarray
    """(M,) index of the state to bootstrap from."""


def windows(steps: Steps, horizon: int, n: int, gamma: float) -> Windows:
    """All chunks of `horizon` actions that lie in one episode, with windows of n chunks cut at its last state.

    Raises:
        ValueError: no episode is long enough for one chunk.
    """
    start = np.flatnonzero(np.arange(len(steps.last)) + horizon <= steps.last)
    if not len(start):
        raise ValueError(f'no episode holds a chunk of {horizon} actions: use a smaller horizon')
    length = np.minimum(n * horizon, steps.last[start] - start)
    reward = np.zeros(len(start))
    ended = np.zeros(len(start), dtype=bool)
    for i in range(n * horizon + 1):
        at = np.minimum(start + i, start + length)
        ended |= steps.success[at]
        reward += np.where(ended | (i >= length), 0.0, gamma**i * steps.reward[at])
    return Windows(start, reward, np.where(ended, 0.0, gamma**length), start + length)


class Chunks:
    """Batches of chunks; the batch of an update depends on the seed and the update alone."""

    def __init__(self, steps: Steps, horizon: int, n: int, gamma: float) -> None:
        """Compute all windows once."""
        self._steps, self._horizon = steps, horizon
        self.windows = windows(steps, horizon, n, gamma)

    def batch(self, size: int, seed: int, update: int) -> StateBatch:
        """A batch, drawn uniformly with replacement."""
        w, steps = self.windows, self._steps
        pick = np.random.default_rng([seed, update]).integers(len(w.start), size=size)
        start = w.start[pick]
        action = steps.action[start[:, None] + np.arange(self._horizon)]
        return StateBatch(
            observation=torch.from_numpy(steps.observation[start]),
            action=torch.from_numpy(action.reshape(size, -1)),
            reward=torch.from_numpy(w.reward[pick].astype(np.float32)),
            discount=torch.from_numpy(w.discount[pick].astype(np.float32)),
            next_observation=torch.from_numpy(steps.observation[w.bootstrap[pick]]),
            valid=torch.ones(size),
        )
