"""Room for the journal on a full disk: else nothing could say that an episode is delivered, and nothing be freed."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

_SIZE_BYTES = 4 << 20  # the journal's log grows to about as much before it is written back
_SHORT_BYTES = 1 << 20


class Reserve:
    """A file of zeros that is given up when the last MiB of the disk is reached, and held again when there is room."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which exists; nothing is written yet."""
        self._folder = folder
        self._path = folder / 'reserve'

    def keep(self) -> None:
        """Let the room go if the disk is full; take it, or take it again, while there is plenty."""
        free_bytes = self._free_bytes()
        with suppress(OSError):  # whoever writes next meets the same error, and names it
            if free_bytes < _SHORT_BYTES:  # another process may have just done it
                self._path.unlink(missing_ok=True)
            elif free_bytes >= 2 * _SIZE_BYTES and not self._is_held():
                self._take()

    def _is_held(self) -> bool:
        try:
            return self._path.stat().st_size >= _SIZE_BYTES
        except FileNotFoundError:
            return False

    def _take(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.posix_fallocate(descriptor, 0, _SIZE_BYTES)
        finally:
            os.close(descriptor)

    def _free_bytes(self) -> int:
        try:
            return shutil.disk_usage(self._folder).free
        except OSError:
            return _SHORT_BYTES
