"""One learner a folder: a second one would remove what the first is writing, and judge the same trials."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO

LOCK_FILE = 'publisher.lock'


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
        self._file = (folder / LOCK_FILE).open('a+')
        _lock(self._file)
        self._file.truncate(0)
        self._file.write(f'{os.getpid()}\n')
        self._file.flush()

    def close(self) -> None:
        """Let go. May be called twice."""
        self._file.close()


def check_free(folder: Path) -> None:
    """Take the lock and let go of it again, and change nothing there.

    Raises:
        BlockingIOError: a learner has it.
        OSError: it cannot be read.
    """
    path = folder / LOCK_FILE
    if path.exists():
        with path.open('r+') as file:
            _lock(file)


def _lock(file: TextIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or 'unknown'
        file.close()
        raise BlockingIOError(
            f'process {holder} publishes from {Path(file.name).parent}: stop it, or name another run '
            f'folder with --run-dir'
        ) from None
