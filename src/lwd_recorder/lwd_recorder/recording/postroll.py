"""Ended episodes that wait for their late messages, while the next one may already be running."""

from __future__ import annotations

from collections.abc import Iterator

from lwd_recorder.recording.config import RecorderConfig
from lwd_recorder.recording.session import Session

_NS = 1_000_000_000


class PostRoll:
    """Sessions between their end and their closing."""

    def __init__(self, config: RecorderConfig) -> None:
        """Begin with none."""
        self._config = config
        self._waiting: list[tuple[Session, float]] = []

    def add(self, session: Session, wall_s: float) -> None:
        """Let an ended session wait; `wall_s` is now, by a monotonic clock."""
        self._waiting.append((session, wall_s))

    def concerned(self, stamp_ns: int) -> Iterator[Session]:
        """Yield the sessions that a message of this stamp may still belong to."""
        for session, _ in self._waiting:
            if session.end is not None and stamp_ns <= session.end.ended_ns:
                yield session

    def due(self, now_ns: int, wall_s: float) -> list[Session]:
        """Return the sessions that have waited long enough, robot clock and wall; they are forgotten here."""
        due = [
            one for one, since_s in self._waiting if self._is_due(one, now_ns, wall_s - since_s)
        ]
        self._waiting = [one for one in self._waiting if one[0] not in due]
        return due

    def all(self) -> list[Session]:
        """Return every session that waits; they are forgotten here."""
        sessions = [session for session, _ in self._waiting]
        self._waiting.clear()
        return sessions

    def _is_due(self, session: Session, now_ns: int, waited_s: float) -> bool:
        assert session.end is not None
        if waited_s < self._config.postroll_wall_s:
            return False
        rolled_s = (now_ns - session.end.ended_ns) / _NS
        return (
            rolled_s >= self._config.postroll_s or waited_s >= self._config.postroll_wall_limit_s
        )
