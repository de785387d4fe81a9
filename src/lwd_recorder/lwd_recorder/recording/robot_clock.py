"""Follows the robot's clock: since when we listen, whether it has begun another life, whether it was set.

A simulator's clock runs faster than the wall, but not a hundred times: what advances so is no running clock.
"""

from __future__ import annotations

from enum import Enum

from lwd_recorder.recording.facts import EpisodeStart

_NS = 1_000_000_000
_JUMP_BACK_NS = _NS
_LEAP_NS = 10 * _NS
_LEAP_RATE = 100.0  # of the wall's


class Tick(Enum):
    """What a reading of the clock means."""

    GOES_ON = 'goes on'
    STARTS = 'starts'
    JUMPED_BACK = 'jumped back'
    LEAPT = 'leapt forward'


class RobotClock:
    """The largest time seen, and the first."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.since_ns = 0
        """When we began to listen, robot clock, ns; 0 before it was known."""
        self.last_ns = 0
        """Newest time, ns."""
        self.before_ns = 0
        """The time before the newest, ns."""
        self._last_wall_s = 0.0

    def follow(self, now_ns: int, wall_s: float) -> Tick:
        """Take a reading. After a jump back, a restarted simulator's, everything begins anew with this one.

        Args:
            now_ns: robot clock, ns.
            wall_s: now, by a monotonic clock, s.
        """
        if now_ns > self.last_ns:
            went_ns, lasted_ns = now_ns - self.last_ns, (wall_s - self._last_wall_s) * _NS
            self.before_ns, self.last_ns, self._last_wall_s = self.last_ns, now_ns, wall_s
            if self.since_ns == 0:
                self.since_ns = now_ns
                return Tick.STARTS
            if went_ns >= _LEAP_NS and went_ns > _LEAP_RATE * lasted_ns:
                return Tick.LEAPT
        elif self.last_ns - now_ns >= _JUMP_BACK_NS:
            return Tick.JUMPED_BACK
        return Tick.GOES_ON

    def begin_anew(self, now_ns: int) -> None:
        """Forget the old life."""
        self.since_ns = self.last_ns = now_ns

    def lateness(self, start: EpisodeStart) -> str:
        """Return why an episode cannot be recorded from its start; empty when it can."""
        if start.started_ns >= self.since_ns:
            return ''
        late_s = (self.since_ns - start.started_ns) / _NS
        return f'it began {late_s:.2f} s before the recorder; waiting for the next one'
