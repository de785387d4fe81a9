"""Which manifests are in the store and were not dealt with.

A store of a fleet's months is long, and its listing costs time in its length. Nearly everything that arrives is newer
than what came before from the same robot, and episode ids sort by time: so most looks go only as far back as each
robot's last episodes, and one a minute looks at everything, for what was late.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Iterator

from lwd_recorder.manifest import MANIFEST_NAME
from lwd_recorder.store import Store, StoredObject

ROOT = 'robots/'
LOOK_BACK = 4
"""Episodes of a robot that every look sees again: what was delivered again, or overtaken by a more urgent one."""
WHOLE_S = 60.0
"""Time between two looks at everything, s."""


class Arrivals:
    """What was dealt with, and what was not yet."""

    def __init__(self, store: Store) -> None:
        """Know of nothing; the first look is at everything."""
        self._store = store
        self._seen: dict[str, float] = {}
        self._last: dict[str, list[str]] = {}
        self._whole_at: float | None = None

    def dealt_with(self, key: str, mtime_s: float) -> None:
        """Remember a manifest's key and its last write, wall clock in s: not pending again until rewritten."""
        self._seen[key] = mtime_s
        last = self._last.setdefault(_folder(key), [])
        if key not in last:
            bisect.insort(last, key)
            del last[:-LOOK_BACK]

    def look_at_everything(self) -> None:
        """Make the next look one at everything: something known to be there could not be dealt with."""
        self._whole_at = None

    def pending(self) -> list[StoredObject]:
        """Return the manifests to deal with, in order of upload.

        Raises:
            StoreError: the store cannot be listed.
        """
        now = time.monotonic()
        whole = self._whole_at is None or now - self._whole_at >= WHOLE_S
        found = [
            item
            for item in (self._store.list(ROOT) if whole else self._newest())
            if item.key.endswith(f'/{MANIFEST_NAME}') and self._seen.get(item.key) != item.mtime_s
        ]
        if whole:
            self._whole_at = now
        return sorted(found, key=lambda item: (item.mtime_s, item.key))

    def _newest(self) -> Iterator[StoredObject]:
        for robot in self._store.folders(ROOT):
            folder = f'{ROOT}{robot}/'
            last = self._last.get(folder, [])
            just_before = last[0][:-1] if last else ''
            yield from self._store.list(folder, just_before)


def _folder(key: str) -> str:
    return '/'.join(key.split('/')[:2]) + '/'
