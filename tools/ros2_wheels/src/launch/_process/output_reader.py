"""Reads a child's stdout or stderr on the event loop."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable

_CHUNK = 65536


class OutputReader:
    """Passes on what arrives at a file descriptor until it is closed."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fd: int, on_data: Callable[[bytes], None]
    ) -> None:
        os.set_blocking(fd, False)
        self._loop = loop
        self._fd: int | None = fd
        self._on_data = on_data
        loop.add_reader(fd, self._read)

    def _read(self) -> bool:
        """Pass on one chunk; return False when there is none now."""
        if self._fd is None:
            return False
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EIO:  # EIO: the other end of a pseudo-terminal is closed
                raise
            data = b''
        if not data:
            self.close()
            return False
        self._on_data(data)
        return True

    def drain(self) -> None:
        """Pass on all that has arrived so far."""
        while self._read():
            pass

    def close(self) -> None:
        """Stop reading."""
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None


class LineSplitter:
    """Cuts chunks of output into lines."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b''

    def feed(self, data: bytes) -> None:
        """Add output; complete lines are passed on."""
        *lines, self._rest = (self._rest + data).split(b'\n')
        for line in lines:
            self._on_line(line.removesuffix(b'\r').decode(errors='replace'))

    def flush(self) -> None:
        """Pass on a last line that has no end."""
        if self._rest:
            self._on_line(self._rest.decode(errors='replace'))
            self._rest = b''
