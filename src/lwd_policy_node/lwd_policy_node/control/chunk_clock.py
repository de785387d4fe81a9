"""Which step of which chunk is due now.

A chunk carries the time of the observation it was made from. It is indexed by time, so an
inference that took long shows up as skipped steps and never as lag.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lwd_policy_node.control.signals import Chunk, Vector

_STEP_TOLERANCE = 0.01  # of a step: a tick this close before a step's time counts as on time
_SHORTEST_STEP_S = (
    1e-3  # no robot is commanded faster, and what is due by a far shorter step overflows
)
_STAMP_TOLERANCE_S = 1e-6  # two clocks' readings of one tick may differ in the last bit


@dataclass(frozen=True, slots=True)
class DueStep:
    """The step due now: its target, the row before it (None for the first), and its number."""

    wish: Vector
    wish_before: Vector | None
    step: int


class ChunkClock:
    """Holds the newest acceptable chunk; says why another one was not accepted."""

    def __init__(self, action_size: int, *, future_tolerance_s: float) -> None:
        """Accept chunks of `action_size` columns stamped at most `future_tolerance_s` ahead."""
        self._action_size = action_size
        self._future_tolerance_s = future_tolerance_s
        self._chunk: Chunk | None = None

    @property
    def chunk(self) -> Chunk | None:
        """The chunk in force."""
        return self._chunk

    def clear(self) -> None:
        """Throw the chunk away."""
        self._chunk = None

    def offer(self, chunk: Chunk, *, now_s: float, episode_id: str, not_before_s: float) -> str:
        """Take `chunk` if it may be executed.

        Args:
            chunk: what the policy sent.
            now_s: robot clock.
            episode_id: the running episode; empty when none runs.
            not_before_s: observations older than this (episode start, last hand-back) are void.

        Returns:
            Empty when taken, else why not: no_episode, wrong_episode, wrong_size, bad_step,
            non_finite, before_start, future_stamp, out_of_order or late.
        """
        if not episode_id:
            return 'no_episode'
        if chunk.episode_id != episode_id:
            return 'wrong_episode'
        if chunk.actions.ndim != 2 or chunk.actions.shape[1] != self._action_size:
            return 'wrong_size'
        if len(chunk.actions) == 0:
            return 'wrong_size'
        if not (math.isfinite(chunk.step_s) and chunk.step_s >= _SHORTEST_STEP_S):
            return 'bad_step'
        if not (math.isfinite(chunk.stamp_s) and np.isfinite(chunk.actions).all()):
            return 'non_finite'
        if chunk.stamp_s < not_before_s - _STAMP_TOLERANCE_S:
            return 'before_start'
        if chunk.stamp_s > now_s + self._future_tolerance_s:
            return 'future_stamp'
        held = self._chunk
        if held is not None:
            older = chunk.stamp_s < held.stamp_s
            repeated = chunk.stamp_s == held.stamp_s and chunk.chunk_id == held.chunk_id
            if older or repeated:
                return 'out_of_order'
        if _step_due(chunk, now_s) >= len(chunk.actions):
            return 'late'
        self._chunk = chunk
        return ''

    def due(self, now_s: float, *, max_age_s: float) -> DueStep | None:
        """The step due at `now_s`; None without a chunk, past its end or beyond `max_age_s`."""
        chunk = self._chunk
        if chunk is None or now_s - chunk.stamp_s > max_age_s:
            return None
        step = max(_step_due(chunk, now_s), 0)
        if step >= len(chunk.actions):
            return None
        before = chunk.actions[step - 1] if step > 0 else None
        return DueStep(wish=chunk.actions[step], wish_before=before, step=step)


def _step_due(chunk: Chunk, now_s: float) -> int:
    return math.floor((now_s - chunk.stamp_s) / chunk.step_s + _STEP_TOLERANCE)
