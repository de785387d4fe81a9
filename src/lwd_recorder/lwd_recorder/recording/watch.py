"""Watches over an episode under way: which steady stream stops, and whether the disk still has room."""

from __future__ import annotations

from lwd_recorder.recording.admission import Admission
from lwd_recorder.recording.audit import LiveAudit
from lwd_recorder.recording.session import Session
from lwd_recorder.recording.writer import Notice

_NS = 1_000_000_000
_DISK_PERIOD_S = 0.5


class Watch:
    """Looks at the audit and at the disk for one episode after the other."""

    def __init__(self, audit: LiveAudit, admission: Admission) -> None:
        """Use the recorder's audit and the rules of its disk."""
        self._audit = audit
        self._admission = admission
        self._looked_s = 0.0

    def changes(self, session: Session, now_ns: int, wall_s: float) -> list[Notice]:
        """Return what has stopped or come back, for the log; the session notes it, too."""
        notices = []
        for change in self._audit.changes(now_ns, wall_s):
            if change.stopped:
                came = f'came at {change.rate_hz:.1f} Hz' if change.rate_hz else 'never came'
                text = f'{change.name} stopped: nothing for {change.silent_s:.1f} s, {came}'
            else:
                text = f'{change.name} is back after {change.silent_s:.1f} s'
            at_s = (now_ns - session.start.started_ns) / _NS
            session.notes.append(f'{text} (at {at_s:.1f} s)')
            level = 'error' if change.stopped else 'info'
            notices.append(Notice(level, f'episode {session.episode_id}: {text}'))
        return notices

    def must_stop(self, wall_s: float) -> str:
        """Return why the episode has to be closed while it still can be; empty when it need not."""
        if wall_s - self._looked_s < _DISK_PERIOD_S:
            return ''
        self._looked_s = wall_s
        return self._admission.must_stop()
