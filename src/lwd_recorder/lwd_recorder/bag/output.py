"""The file under a bag: append-only, hashed as it is written, never copied on the way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

_MOST_PIECES = min(os.sysconf('SC_IOV_MAX'), 1024)


class HashedFile:
    """A new file that keeps the sha256 and the size of what went into it. One thread writes."""

    def __init__(self, path: Path) -> None:
        """Create the file.

        Raises:
            OSError: it is there already, or cannot be made.
        """
        self.path = path
        self.size_bytes = 0
        """Bytes written so far."""
        self._digest = hashlib.sha256()
        self._descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644
        )

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._descriptor < 0

    @property
    def sha256(self) -> str:
        """sha256 of what was written, hex."""
        return self._digest.hexdigest()

    def write(self, pieces: Sequence[bytes]) -> None:
        """Append byte strings, gathered by the kernel: a frame of a megabyte is not copied to make one of them.

        Raises:
            OSError: the disk refused; part of the bytes may be in the file.
        """
        for start in range(0, len(pieces), _MOST_PIECES):
            part: list[bytes | memoryview] = list(pieces[start : start + _MOST_PIECES])
            while part:
                written = os.writev(self._descriptor, part)
                self.size_bytes += written
                while part and written >= len(part[0]):
                    written -= len(part[0])
                    del part[0]
                if written:
                    part[0] = memoryview(part[0])[written:]
        for piece in pieces:
            self._digest.update(piece)

    def sync(self) -> None:
        """Wait until what was written is on the disk. May be called by another thread while one writes."""
        if not self.closed:
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Let go of the file; idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
