"""One recorder a spool: a second one would take the first one's episode for one that was left open."""

from __future__ import annotations

import fcntl
from pathlib import Path

from lwd_recorder.spool.journal import SpoolError


class RecorderLock:
    """Held as long as a recorder works; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, root: Path) -> None:
        """Take it.

        Args:
            root: the spool's folder.

        Raises:
            SpoolError: another recorder has it.
            OSError: the disk refuses.
        """
        self._file = (root / 'recorder.lock').open('ab')
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise SpoolError(
                f'another recorder works on the spool {root}; stop it, or give this one a spool of its own'
            ) from None

    def close(self) -> None:
        """Let go."""
        self._file.close()
