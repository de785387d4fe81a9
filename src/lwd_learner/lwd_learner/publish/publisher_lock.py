"""One learner a folder: a second one would remove what the first is writing, and judge the same trials."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class PublisherLock:
    """Held as long as a learner publishes; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Take it.

        Args:
            folder: where published versions lie; it is made.

        Raises:
            BlockingIOError: another learner has it.
            OSError: the disk refuses.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / 'publisher.lock').open('a+')
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or 'unknown'
            self._file.close()
            raise BlockingIOError(
                f'process {holder} publishes from {folder}: stop it, or name another run folder '
                f'with --run-dir'
            ) from None
        self._file.truncate(0)
        self._file.write(f'{os.getpid()}\n')
        self._file.flush()

    def close(self) -> None:
        """Let go. May be called twice."""
        self._file.close()
