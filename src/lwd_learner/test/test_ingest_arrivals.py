"""What ingest looks at: each robot's newest at every look, everything now and then."""

from __future__ import annotations

from pathlib import Path

import pytest
from lwd_learner.ingest import arrivals
from lwd_learner.ingest.arrivals import LOOK_BACK, WHOLE_S, Arrivals
from lwd_recorder.store import FolderStore


class _CountingStore(FolderStore):
    listed = 0

    def list(self, prefix: str = '', after: str = ''):
        for item in super().list(prefix, after):
            self.listed += 1
            yield item


@pytest.fixture
def now(monkeypatch):
    """Seconds on the clock that tells when to look at everything."""
    clock = [1000.0]
    monkeypatch.setattr(arrivals.time, 'monotonic', lambda: clock[0])
    return clock


def _key(robot: str, number: int) -> str:
    return f'robots/{robot}/episodes/2026-11-28/{robot}-20261128T{number:06d}-aa/manifest.json'


def _deliver(store: FolderStore, key: str) -> str:
    store.put_bytes(b'bag', key.replace('manifest.json', 'bag.mcap'))
    store.put_bytes(b'{}', key)
    return key


def _deal(new: Arrivals) -> list[str]:
    found = new.pending()
    for item in found:
        new.dealt_with(item.key, item.mtime_s)
    return [item.key for item in found]


def test_a_look_costs_what_is_new(tmp_path: Path, now):
    store = _CountingStore(tmp_path)
    new = Arrivals(store)
    sent = [_deliver(store, _key(robot, number)) for robot in 'ab' for number in range(100)]
    assert sorted(_deal(new)) == sent
    assert store.listed == 2 * len(sent)
    store.listed = 0
    arrived = _deliver(store, _key('b', 100))
    first_of_another = _deliver(store, _key('c', 0))
    assert _deal(new) == [arrived, first_of_another]
    assert store.listed <= 2 * (2 * LOOK_BACK + 2)
    assert _deal(new) == []


def test_what_is_late_comes_with_the_look_at_everything(tmp_path: Path, now):
    store = FolderStore(tmp_path)
    new = Arrivals(store)
    for number in range(100, 150):
        _deliver(store, _key('a', number))
    _deal(new)
    late = _deliver(store, _key('a', 7))
    assert _deal(new) == []
    now[0] += WHOLE_S
    assert _deal(new) == [late]
    assert _deal(new) == []


def test_what_was_overtaken_is_seen_at_once(tmp_path: Path, now):
    store = FolderStore(tmp_path)
    new = Arrivals(store)
    for number in range(0, 100, 2):
        _deliver(store, _key('a', number))
    _deal(new)
    overtaken = _deliver(store, _key('a', 97 - LOOK_BACK))
    assert _deal(new) == [overtaken]


def test_what_was_delivered_again_is_pending_again(tmp_path: Path, now):
    store = FolderStore(tmp_path)
    new = Arrivals(store)
    key = _deliver(store, _key('a', 1))
    new.dealt_with(key, 1.0)
    assert _deal(new) == [key]


def test_after_a_failure_everything_is_looked_at(tmp_path: Path, now):
    store = FolderStore(tmp_path)
    new = Arrivals(store)
    for number in range(100, 150):
        _deliver(store, _key('a', number))
    _deal(new)
    late = _deliver(store, _key('a', 7))
    new.look_at_everything()
    assert _deal(new) == [late]
