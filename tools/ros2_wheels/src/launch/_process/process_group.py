"""A process group: signals to it, and whether anything of it still runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

_POLL_S = 0.05  # a group's end has no event to wait on


class ProcessGroup:
    """The group that a child leads; its own children are in it too."""

    def __init__(self, pgid: int) -> None:
        self._pgid = pgid

    def signal(self, signal_number: signal.Signals) -> None:
        """Send a signal to every member; nothing happens if there is none."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pgid, signal_number)

    def is_alive(self) -> bool:
        """Return True if a member runs; zombies whose parent does not wait do not count."""
        try:
            os.killpg(self._pgid, 0)
        except ProcessLookupError:
            return False
        return any(_running_in_group(path) == self._pgid for path in Path('/proc').glob('[0-9]*'))

    async def gone(self, timeout_s: float) -> bool:
        """Wait until no member runs; False if one still does after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while self.is_alive():
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_POLL_S)
        return True


def _running_in_group(process: Path) -> int | None:
    """Return the group of a running process, None if it is a zombie or gone."""
    try:
        stat = (process / 'stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, _, pgid = stat.rpartition(')')[2].split()[:3]  # after the name, which may hold spaces
    return None if state in ('Z', 'X') else int(pgid)
