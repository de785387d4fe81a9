"""SIGINT and SIGTERM as a flag to look at and to wait for.

A `threading.Event` must not be set from a signal handler while the main thread waits for it: the handler runs in that
thread, and blocks for ever when the signal came in the moments in which `wait` holds the event's lock.
"""

from __future__ import annotations

import signal
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType


class StopSignal:
    """Set by the first SIGINT or SIGTERM after it was made; make it in the main thread."""

    def __init__(self) -> None:
        """Take the two signals over."""
        self._asked = False
        self._wake: SimpleQueue[None] = (
            SimpleQueue()
        )  # its put may be called from a signal handler
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        self._wake.put(None)

    def is_set(self) -> bool:
        """Return whether a signal has come."""
        return self._asked

    def wait(self, timeout_s: float) -> bool:
        """Wait for a signal for so long at most, in one thread; return whether one has come."""
        if not self._asked:
            with suppress(Empty):
                self._wake.get(timeout=max(0.0, timeout_s))
        return self._asked
