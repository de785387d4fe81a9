"""Bumpless hand-over: the first commands of a new source start from the last executed target."""

from __future__ import annotations

import math

import numpy as np

from lwd_policy_node.control.signals import Vector


class Blend:
    """A straight ramp from a held target to a source's wish over a fixed number of ticks."""

    def __init__(self, duration_s: float, period_s: float) -> None:
        """Blend over `duration_s`, ticking every `period_s`; 0 = no blend."""
        self._ticks = max(math.ceil(duration_s / period_s - 1e-9), 0)
        self._done = self._ticks
        self._start: Vector = np.zeros(0)

    def begin(self, start: Vector) -> None:
        """Start a ramp from `start`, shape (A,)."""
        self._start = start.copy()
        self._done = 0

    @property
    def active(self) -> bool:
        """The next `apply` changes the wish."""
        return self._done < self._ticks

    def apply(self, wish: Vector) -> Vector:
        """The wish of this tick, shape (A,), moved towards where the ramp began."""
        if not self.active:
            return wish
        self._done += 1
        share = self._done / (self._ticks + 1)
        return self._start + share * (wish - self._start)
