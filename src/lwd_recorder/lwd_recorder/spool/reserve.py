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

    def hold(self) -> None:
        """Take the room while there is plenty; a disk that refuses is left alone."""
        if self._path.exists() or self._free_bytes() < 2 * _SIZE_BYTES:
            return
        with suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.posix_fallocate(descriptor, 0, _SIZE_BYTES)
            finally:
                os.close(descriptor)

    def give_up_if_short(self) -> None:
        """Let the room go if the disk is full."""
        if self._free_bytes() < _SHORT_BYTES:
            with suppress(OSError):  # also when another process has just done it
                self._path.unlink(missing_ok=True)

    def _free_bytes(self) -> int:
        try:
            return shutil.disk_usage(self._folder).free
        except OSError:  # whoever writes next meets the same error, and names it
            return _SHORT_BYTES
