"""Chunk transitions (s_t, a[t:t+H], r, s') read from the index: algorithm.md, sections 1 and 2.

With W = n*H steps asked for and the row's `limit` and `ending` (segments.py), k = min(W, limit - t) steps
are there:

* reward = gamma^(k-1) if the k-th step ends the episode in success, else 0: the only reward there is;
* discount = gamma^k, the factor of the bootstrap at s' = s_{t+k}; 0 where the k-th step ends the episode.
  An n-step window stops, like a chunk, at a takeover or a gap and bootstraps from the last contiguous
  observation;
* the chunk holds the first min(H, limit - t) executed actions; `mask` marks them, later ones repeat the
  last valid one.

gamma is per control step at 30 Hz, and keeps its value per second at any other rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lwd_learner.replay.index import FrameIndex
from lwd_learner.replay.layout import SOURCE_HUMAN, ReplayError
from lwd_learner.replay.replay import DATASET_SHIFT, Replay, Rows
from lwd_learner.replay.segments import CUT, SUCCESS

GAMMA_RATE_HZ = 30.0
"""The control rate that gamma is quoted at."""


@dataclass(frozen=True, slots=True)
class Batch:
    """B transitions. Images are named, not held: `replay.images(batch.row)`."""

    row: Rows
    """(B,) global frame id of the image row that the observation sees."""
    next_row: Rows
    """(B,) the same for the bootstrap observation (of the last step where nothing is bootstrapped)."""
    state: npt.NDArray[np.float32]
    """(B, S) joint state at t."""
    next_state: npt.NDArray[np.float32]
    """(B, S) joint state at the bootstrap observation."""
    action: npt.NDArray[np.float32]
    """(B, H, A) executed actions; invalid steps repeat the last valid one."""
    mask: npt.NDArray[np.bool_]
    """(B, H) steps that were executed in this segment."""
    reward: npt.NDArray[np.float32]
    """(B,) discounted reward of the window."""
    discount: npt.NDArray[np.float32]
    """(B,) gamma^k of the bootstrap, 0 where the episode ended."""
    task_id: npt.NDArray[np.int32]
    """(B,) in `replay.tasks`."""
    instruction_id: npt.NDArray[np.int32]
    """(B,) in `replay.instructions`."""
    human: npt.NDArray[np.bool_]
    """(B,) the chunk was commanded by a human."""
    success: npt.NDArray[np.bool_]
    """(B,) the episode ended in success."""
    policy_version: npt.NDArray[np.int64]
    """(B,) weights in force at t; 0 unless the source was the policy."""
    dataset: npt.NDArray[np.int8]
    """(B,) 0 offline, 1 online."""
    episode: npt.NDArray[np.int32]
    """(B,) number in `replay.episodes(dataset)`."""
    start: Rows
    """(B,) global id of row t itself (`row` is where its images are stored)."""

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True)
class Transitions:
    """Reads transitions of one horizon, n and discount from a replay."""

    replay: Replay
    horizon: int
    """H, steps of a chunk."""
    n_step: int = 1
    """Chunks between an observation and its bootstrap."""
    gamma: float = 0.9999
    """Discount per control step at 30 Hz."""

    def __post_init__(self) -> None:
        if self.horizon < 1 or self.n_step < 1 or not 0.0 < self.gamma <= 1.0:
            raise ReplayError(
                f'horizon {self.horizon}, n_step {self.n_step}, gamma {self.gamma}: need >= 1, >= 1, in (0, 1]'
            )

    @property
    def step_gamma(self) -> float:
        """Discount per control step of this replay's robot."""
        return float(self.gamma ** (GAMMA_RATE_HZ / self.replay.layout.control_rate_hz))

    def starts(self, dataset: str, first: int = 0) -> Rows:
        """Local rows >= first where a transition may start: new images, and at least one step to take."""
        index = self.replay.index(dataset)
        stop = len(index)  # once: another thread may append meanwhile
        rows = np.arange(first, stop)
        return rows[index.new_image.data[first:stop] & (index.limit.data[first:stop] > rows)]

    def read(self, starts: Rows) -> Batch:
        """The transitions that start at these global rows, in their order."""
        size, layout = len(starts), self.replay.layout
        states, actions = len(layout.state_columns), len(layout.joint_names)
        batch = Batch(
            row=np.empty(size, np.int64),
            next_row=np.empty(size, np.int64),
            state=np.empty((size, states), np.float32),
            next_state=np.empty((size, states), np.float32),
            action=np.empty((size, self.horizon, actions), np.float32),
            mask=np.empty((size, self.horizon), np.bool_),
            reward=np.empty(size, np.float32),
            discount=np.empty(size, np.float32),
            task_id=np.empty(size, np.int32),
            instruction_id=np.empty(size, np.int32),
            human=np.empty(size, np.bool_),
            success=np.empty(size, np.bool_),
            policy_version=np.empty(size, np.int64),
            dataset=(starts >> DATASET_SHIFT).astype(np.int8),
            episode=np.empty(size, np.int32),
            start=starts,
        )
        for where, rows, index in self.replay.split(starts):
            self._fill(batch, where, rows, index)
        return batch

    def _fill(self, batch: Batch, where: npt.NDArray[np.intp], t: Rows, index: FrameIndex) -> None:
        high = batch.start[where] - t  # the data set number, shifted
        ahead = index.limit.data[t] - t
        k = np.minimum(self.n_step * self.horizon, ahead)
        ending = index.ending.data[t]
        ends = (ending != CUT) & (k == ahead)
        after = t + k - ends
        batch.row[where] = index.image_row.data[t] | high
        batch.next_row[where] = index.image_row.data[after] | high
        step = np.arange(self.horizon)
        chunk = t[:, None] + np.minimum(step, ahead[:, None] - 1)
        low = index.low.take_all({'state': np.stack([t, after]), 'action': chunk})
        batch.state[where], batch.next_state[where] = low['state']
        batch.action[where] = low['action']
        batch.mask[where] = step < ahead[:, None]
        batch.reward[where] = np.where(ends & (ending == SUCCESS), self.step_gamma ** (k - 1), 0.0)
        batch.discount[where] = np.where(ends, 0.0, self.step_gamma**k)
        batch.task_id[where] = index.task.data[t]
        batch.instruction_id[where] = index.instruction.data[t]
        batch.human[where] = index.source.data[t] == SOURCE_HUMAN
        batch.success[where] = index.success.data[t]
        batch.policy_version[where] = index.policy_version.data[t]
        batch.episode[where] = index.episode.data[t]
