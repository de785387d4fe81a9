"""The simulated robot's clock: monotonic over resets and over restarts of the process, paced against the wall."""

from __future__ import annotations

import time

_EPOCH_WALL_S = 1_735_689_600.0  # 2025-01-01: seconds stay within a stamp's 31 bits until 2031
_WATCH_S = 5.0  # of the wall: over so long it is judged whether a speed is held
_HELD = 0.9  # share of the speed that counts as held
_FASTEST = 10.0  # one that runs faster, for long, may step back when it is started again


def first_stamp_ns(factor: float, wall_s: float) -> int:
    """Where a clock that runs ``factor`` times as fast as the wall starts.

    It is where a clock that had run since a fixed date would stand. A simulator that is killed and started again
    therefore never steps its clock back, without keeping anything on disk.
    """
    elapsed = max(0.0, wall_s - _EPOCH_WALL_S)
    return int(elapsed * min(factor or _FASTEST, _FASTEST)) * 1_000_000_000


class Pacer:
    """Says how long to wait before the next tick; a simulator that falls behind does not race to catch up."""

    def __init__(self, period_s: float, factor: float) -> None:
        """``period_s`` of simulated time per tick; ``factor`` 0 never waits."""
        self._period_s = period_s
        self.set_factor(factor)

    def set_factor(self, factor: float) -> None:
        """Change the speed from now on."""
        self.watch_anew()
        self.factor = factor
        self._wall_period_s = self._period_s / factor if factor > 0 else 0.0
        self._due_s = time.monotonic() + self._wall_period_s

    def left_s(self) -> float:
        """Wall seconds until the next tick is due, 0 if it is."""
        return max(0.0, self._due_s - time.monotonic())

    def ticked(self) -> None:
        """The tick was made: when is the next one due."""
        now_s = time.monotonic()
        self._due_s = max(self._due_s + self._wall_period_s, now_s)
        self._ticks += 1
        elapsed_s = now_s - self._watched_since_s
        if elapsed_s >= _WATCH_S:
            achieved = self._ticks * self._period_s / elapsed_s
            self.watch_anew()
            self._behind = achieved if achieved < _HELD * self.factor else None

    def watch_anew(self) -> None:
        """Judge from now on whether the speed is held: what was before, or took a moment of its own, does not count."""
        self._ticks, self._watched_since_s = 0, time.monotonic()
        self._behind: float | None = None

    def behind(self) -> float | None:
        """The speed of the last seconds when it was less than the one asked for, else None."""
        return self._behind
