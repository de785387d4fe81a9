"""Where the robot was seen last: joint states as they arrive, checked."""

from __future__ import annotations

import math

import numpy as np

from lwd_policy_node.control.signals import Vector


class Measured:
    """The newest acceptable joint state; says why another one was not accepted."""

    def __init__(self, position: Vector, *, timeout_s: float, future_tolerance_s: float) -> None:
        """`position` (A,) stands in until a state arrives; states older than `timeout_s` are stale."""
        self.position = position
        self.stamp_s = -math.inf
        self._timeout_s = timeout_s
        self._future_tolerance_s = future_tolerance_s

    def offer(self, stamp_s: float, position: Vector, now_s: float) -> str:
        """Take positions (A,) measured at `stamp_s`; returns empty, or why not: wrong_size,
        non_finite, future_stamp or out_of_order.
        """
        if position.shape != self.position.shape:
            return 'wrong_size'
        if not (math.isfinite(stamp_s) and np.isfinite(position).all()):
            return 'non_finite'
        if stamp_s > now_s + self._future_tolerance_s:
            return 'future_stamp'
        if stamp_s < self.stamp_s:
            return 'out_of_order'
        self.stamp_s = stamp_s
        self.position = position
        return ''

    def fresh(self, now_s: float) -> bool:
        """Whether the robot was seen less than the time-out ago."""
        return now_s - self.stamp_s <= self._timeout_s

    def forget(self, now_s: float) -> None:
        """The clock stepped back to `now_s`: accept its stamps, and be stale until one comes."""
        self.stamp_s = min(self.stamp_s, now_s - self._timeout_s - 1.0)
