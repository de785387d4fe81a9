"""Follows the robot's clock: since when we listen, and whether it has begun another life."""

from __future__ import annotations

from enum import Enum

from lwd_recorder.recording.facts import EpisodeStart

_NS = 1_000_000_000
_JUMP_BACK_NS = _NS


class Tick(Enum):
    """What a reading of the clock means."""

    GOES_ON = 'goes on'
    STARTS = 'starts'
    JUMPED_BACK = 'jumped back'


class RobotClock:
    """The largest time seen, and the first."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.since_ns = 0
        """When we began to listen, robot clock, ns; 0 before it was known."""
        self.last_ns = 0
        """Newest time, ns."""

    def follow(self, now_ns: int) -> Tick:
        """Take a reading. After a jump back, a restarted simulator's, everything begins anew with this one."""
        if now_ns >= self.last_ns:
            self.last_ns = now_ns
            if self.since_ns == 0 and now_ns > 0:
                self.since_ns = now_ns
                return Tick.STARTS
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
