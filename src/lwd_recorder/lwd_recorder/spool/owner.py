"""Who works on a closed episode: a name that lives exactly as long as its process, whatever clocks do.

The name is that of a locked file. The kernel lets go of the lock when the process ends, however it ends, so a claim
of a dead uploader is known as one without a time-out.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
from pathlib import Path


class Owner:
    """One uploader, one repair or one relabelling on one spool."""

    def __init__(self, folder: Path) -> None:
        """Make a name and hold its lock.

        Args:
            folder: where the locked files of a spool are; made when needed.

        Raises:
            OSError: the disk refuses.
        """
        folder.mkdir(exist_ok=True)
        self.name = f'{socket.gethostname()[:40]}.{os.getpid()}.{secrets.token_hex(4)}'
        """Unique to this object."""
        self._path = folder / self.name
        self._file = self._path.open('xb')
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def close(self) -> None:
        """Let go: every claim of this name is free."""
        self._path.unlink(missing_ok=True)
        self._file.close()


def is_alive(folder: Path, name: str) -> bool:
    """Return whether an owner, by its name, still works; the file of one that does not is removed.

    Args:
        folder: where the locked files of the spool are.
        name: of the owner.
    """
    path = folder / name
    try:
        with path.open('rb') as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
