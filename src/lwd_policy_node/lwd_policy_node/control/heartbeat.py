"""Whether the policy's process lives: it says so several times per control period.

A plan outlives the process that made it by its whole horizon. Who stands behind it no more must not
move the robot on, so a process that falls silent loses the robot within two control periods.
"""

from __future__ import annotations

import math


class Heartbeat:
    """Times are of a clock of this machine that never steps, s: a process does not live on the robot's clock."""

    def __init__(self, timeout_s: float, busy_s: float) -> None:
        """A process of which nothing was heard for more than `timeout_s` is silent.

        One whose middleware alone answers is busy, for `busy_s` since its last sign of life at most.
        """
        self._timeout_s = timeout_s
        self._busy_s = busy_s
        self._last_s = -math.inf
        self._answer_s = -math.inf
        self._longest_gap_s = 0.0

    def beat(self, at_s: float) -> None:
        """Note a sign of life that arrived at `at_s`; an older one than the newest changes nothing."""
        if at_s <= self._last_s:
            return
        if math.isfinite(self._last_s):
            self._longest_gap_s = max(self._longest_gap_s, at_s - self._last_s)
        self._last_s = at_s

    def answer(self, asked_s: float) -> None:
        """Note that the process's middleware has answered what it was asked at `asked_s`.

        It bridges signs of life that are late, and not for ever: a process whose own threads have come to nothing is
        no better than a dead one.
        """
        self._answer_s = max(self._answer_s, asked_s)

    def alive(self, now_s: float) -> bool:
        """Whether the process was heard of late, or has answered of late."""
        if now_s - self._last_s <= self._timeout_s:
            return True
        return now_s - self._answer_s <= self._timeout_s and now_s - self._last_s <= self._busy_s

    def take_longest_gap_s(self) -> float:
        """The longest time between two signs of life since the last call, s; 0 without two."""
        gap_s, self._longest_gap_s = self._longest_gap_s, 0.0
        return gap_s
