"""A cap on how fast bytes leave the robot: other traffic of the site, and the robot's own, come first."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable


class RateLimit:
    """A bucket that fills at a steady rate and holds a quarter of a second's worth. Threads share one."""

    def __init__(
        self,
        bytes_per_s: float,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Begin with an empty bucket.

        Args:
            bytes_per_s: the cap; 0 = none.
            monotonic_s: wall time that never jumps, s.
            sleep: waits for so many seconds.
        """
        self.bytes_per_s = bytes_per_s
        self._monotonic_s = monotonic_s
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at_s = monotonic_s()

    def take(self, count: int) -> None:
        """Wait until `count` more bytes may leave."""
        if self.bytes_per_s <= 0:
            return
        with self._lock:
            now_s = self._monotonic_s()
            begin_s = max(self._free_at_s, now_s - 0.25)
            self._free_at_s = begin_s + count / self.bytes_per_s
            wait_s = self._free_at_s - now_s
        if wait_s > 0:
            self._sleep(wait_s)


class LimitedBody(io.BytesIO):
    """Bytes that are handed out at the limit's pace once `armed`: signing reads them first, and may do so at once."""

    armed = False
    limit: RateLimit

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes, in small pieces and not too soon."""
        if not self.armed:
            return super().read(size)
        data = super().read(
            min(16384, len(self.getbuffer()) if size is None or size < 0 else size)
        )
        self.limit.take(len(data))
        return data
