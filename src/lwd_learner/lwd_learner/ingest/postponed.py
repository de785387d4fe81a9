"""Episodes that could not be read: each is tried again, ever later, and in the end given up where others can be read.

What cannot be read now may be whole: it stays where it is. But one that never can be (a broken disk block, an object
that the server refuses) must not cost every look what it costs.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from lwd_recorder.store import StoredObject, StoreError

TROUBLE_TIMES, TROUBLE_MOST_S = 4.0, 900.0
"""What failed is left alone for so many times what the try took, at most so long: a server that hangs takes minutes."""
FIRST_S = 1.0
"""Wait after the second try, s; it doubles with every further one. The second is made at the next look."""
TRIES, LEAST_S = 6, 600.0
"""So many tries over so long, with the same error, are enough."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of this machine, whatever the episode is: it is never given up for them."""


@dataclass(slots=True)
class _Episode:
    """What is known of one; times are of the monotonic clock, s."""

    mtime_s: float
    fault: tuple[str, int | None] = ('', None)
    since_s: float = 0.0
    """When it first failed in this way."""
    tries: int = 0
    """In this way."""
    last_s: float = float('inf')
    """Of the last try."""
    wait_s: float | None = None
    """None before the first try."""


class Verdict(NamedTuple):
    """What is to become of an episode that could not be read."""

    wait_s: float
    """For how long it is left alone."""
    tries: int
    """How often it failed in the same way."""
    lasted_s: float
    """For how long by now."""
    others_were_read: bool
    """Since the try before: it is no trouble of the whole store."""
    give_up: bool
    """Enough of it, and others were read."""


class Postponed:
    """When each of them is tried next."""

    def __init__(self) -> None:
        """None is known."""
        self._episodes: dict[str, _Episode] = {}
        self._read_s = float('-inf')

    def due(self) -> set[str]:
        """Keys of the manifests that are to be tried again now."""
        now = time.monotonic()
        return {key for key, of in self._episodes.items() if now >= of.last_s + (of.wait_s or 0.0)}

    def waits(self, item: StoredObject) -> bool:
        """Whether it is too early for this manifest; one that was written again is new."""
        of = self._episodes.get(item.key)
        return of is not None and of.mtime_s == item.mtime_s and item.key not in self.due()

    def forget(self, keys: Iterable[str]) -> None:
        """These are gone, or dealt with."""
        for key in keys:
            self._episodes.pop(key, None)

    def was_read(self, key: str) -> None:
        """An episode was read: store and machine work."""
        self._read_s = time.monotonic()
        self.forget((key,))

    def add(self, item: StoredObject, error: StoreError, took_s: float) -> Verdict:
        """It could not be read, which took `took_s`."""
        now = time.monotonic()
        of = self._episodes.get(item.key)
        if of is None or of.mtime_s != item.mtime_s:
            of = self._episodes[item.key] = _Episode(item.mtime_s)
        if of.fault != (fault := _fault(error)):
            of.fault, of.since_s, of.tries = fault, now, 0
        of.tries += 1
        others_were_read = self._read_s >= of.last_s
        of.last_s = now
        if of.wait_s is None:
            of.wait_s = 0.0
        else:
            of.wait_s = min(max(FIRST_S, TROUBLE_TIMES * took_s, 2 * of.wait_s), TROUBLE_MOST_S)
        lasted_s = now - of.since_s
        enough = of.tries >= TRIES and lasted_s >= LEAST_S and fault[1] not in NO_ROOM
        give_up = enough and others_were_read
        return Verdict(of.wait_s, of.tries, lasted_s, others_were_read, give_up)


def _fault(error: StoreError) -> tuple[str, int | None]:
    """What went wrong, without names of temporary files and requests, which differ from try to try."""
    cause = error.__cause__ or error
    return type(cause).__name__, getattr(cause, 'errno', None)
