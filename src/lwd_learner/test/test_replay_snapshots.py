"""Snapshots, restarts, compaction: what a reader sees of a replay that others write to."""

from __future__ import annotations

import sys
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from lwd_learner.replay import (
    EpisodeFrames,
    Replay,
    ReplayConfig,
    ReplayError,
    ReplayLayout,
    Sampler,
    SamplerConfig,
)
from lwd_learner.replay.images import JpegCache

sys.path.insert(0, str(Path(__file__).parent))
from toy_replay import LAYOUT, assert_same, columns, episode


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    return Replay.create(tmp_path / 'replay', LAYOUT)


def test_a_reader_keeps_its_snapshot_until_it_refreshes(replay: Replay):
    replay.append('online', [episode(1)])
    reader = Replay.open(replay.uri)
    sampler = Sampler(reader)
    before = columns(reader, 'online')
    replay.append('online', [episode(2), episode(3)])
    replay.compact()
    for name, column in columns(reader, 'online').items():
        np.testing.assert_array_equal(column, before[name])
    assert set(sampler.sample(64).state[:, 0]) == {1.0}
    assert reader.jpegs(reader.global_rows('online', np.array([0])))[0] == [
        b'1/0/left',
        b'1/0/right',
    ]
    assert reader.refresh() == 20 and sampler.refresh() == 10
    assert set(sampler.sample(64).state[:, 0]) == {1.0, 2.0, 3.0}
    assert_same(reader, replay)


def test_readers_can_agree_on_a_version(replay: Replay):
    """What data-parallel ranks do at a barrier."""
    replay.append('offline', [episode(1, kind='play')])
    agreed = replay.snapshot()
    replay.append('offline', [episode(2, kind='play')])
    opened = Replay.open(replay.uri, versions=agreed)
    assert len(opened) == 10 and opened.snapshot() == agreed
    latest = replay.snapshot()
    assert opened.refresh(latest) == 10 and opened.snapshot() == latest
    with pytest.raises(ReplayError, match='cannot move from version'):
        opened.refresh(agreed)


def test_reopened_it_is_the_same(replay: Replay):
    for number in range(5):
        replay.append('online', [episode(number, rows=3 + number, labels=number % 3)])
    replay.append('offline', [episode(9, kind='demonstration', task='sort'), episode(10)])
    assert_same(Replay.open(replay.uri), replay)


def test_compaction_keeps_row_numbers(replay: Replay):
    for number in range(20):
        replay.append('online', [episode(number, rows=4)])
    reader = Replay.open(replay.uri)
    rows = replay.global_rows('online', np.arange(80))
    before = replay.jpegs(rows)
    replay.compact()
    replay.append('online', [episode(20)])
    fresh = Replay.open(replay.uri)
    assert fresh.jpegs(rows) == before
    reader.refresh()  # followed from before the compaction, across it
    assert_same(reader, fresh)
    assert reader.jpegs(rows) == before and len(reader) == 90


@pytest.mark.parametrize('rows', [[2, 2, 20, 2, 2], [12, 12, 40, 2, 2], [20, 2, 30, 2, 2, 50, 1]])
def test_small_files_in_front_of_a_large_one_stay_in_front(replay: Replay, monkeypatch, rows):
    """Lance's own compaction puts what it merged behind the large file: every row would have another number."""
    monkeypatch.setattr('lwd_learner.replay.compaction.rows_of_a_file', lambda data: 18)
    for number, count in enumerate(rows):
        replay.append('online', [episode(number, rows=count)])
    reader = Replay.open(replay.uri)
    ids = replay.global_rows('online', np.arange(sum(rows)))
    before = replay.jpegs(ids)
    replay.compact()
    fresh = Replay.open(replay.uri)
    assert fresh.jpegs(ids) == before
    assert_same(fresh, reader)
    assert len(fresh._data['online']._data.get_fragments()) < len(rows)
    replay.append('online', [episode(99)])
    replay.compact()
    assert Replay.open(replay.uri).jpegs(ids) == before
    assert_same(Replay.open(replay.uri), replay)


def test_small_files_are_compacted_when_they_pile_up(replay: Replay, monkeypatch):
    monkeypatch.setattr('lwd_learner.replay.dataset.COMPACT_FRAGMENTS', 4)
    done = []
    for number in range(8):
        replay.append('online', [episode(number, rows=2)])
        done.append(replay.maybe_compact())
    assert done == [False, False, False, True, False, False, True, False]


def test_appending_costs_the_same_however_full(replay: Replay):
    """The index takes new rows only: nothing is read again."""
    replay.append('online', [episode(number, rows=50) for number in range(40)])
    reads = []
    data = replay._data['online']
    original = data._follow
    data._follow = lambda: reads.append(1) or original()  # type: ignore[method-assign]
    replay.append('online', [episode(99)])
    assert reads == [] and len(replay) == 2010
    reader = Replay.open(replay.uri)
    replay.append('online', [episode(100)])
    assert reader.refresh() == 10


def test_an_append_behind_anothers_is_indexed_in_the_stored_order(replay: Replay):
    other = Replay.open(replay.uri)
    replay.append('online', [episode(1)])
    other.append('online', [episode(2)])
    assert_same(other, Replay.open(replay.uri))
    assert [e.episode_id for e in other.episodes('online')] == ['e1', 'e2']


def test_jpeg_bytes_beyond_the_cache_come_from_disk(tmp_path: Path):
    small = Replay.create(tmp_path / 'small', LAYOUT, ReplayConfig(jpeg_cache_bytes=100))
    small.append('online', [episode(number) for number in range(5)])
    rows = small.global_rows('online', np.array([49, 0, 31, 30, 0, 12]))
    assert [row[0].decode() for row in small.jpegs(rows)] == [
        '4/8/left',
        '0/0/left',
        '3/0/left',
        '3/0/left',
        '0/0/left',
        '1/2/left',
    ]
    assert small.cache.size_bytes <= 100


def test_the_cache_drops_the_least_recently_used():
    reads: list[object] = []

    def read(keys):
        reads.extend(keys)
        return [b'x' * 10 for _ in keys]

    cache = JpegCache(read, 30)
    keys = [(0, row, 0) for row in range(4)]
    cache.get(keys[:3])
    cache.get([keys[0]])
    cache.get([keys[3]])
    cache.get([keys[0]])
    assert reads == keys and cache.size_bytes == 30
    cache.get([keys[1]])
    assert reads == [*keys, keys[1]]


@pytest.mark.parametrize(
    ('facts', 'words'),
    [
        ({'state': np.zeros((10, 4), np.float32)}, 'state has shape'),
        ({'action': np.full((10, 2), np.nan, np.float32)}, 'action holds non-finite'),
        ({'stamp_s': np.zeros(10)}, 'does not increase'),
        ({'outcome': 'fine'}, "outcome 'fine'"),
        ({'jpeg': {'left': [None] * 10}}, 'camera right has none entries'),
    ],
)
def test_frames_that_do_not_fit_are_refused_whole(replay: Replay, facts, words):
    before = replay.version('online')
    with pytest.raises(ReplayError, match=words):
        replay.append('online', [episode(1), episode(2, **facts)])
    assert replay.version('online') == before and len(replay) == 0


def test_an_episode_is_never_held_twice(replay: Replay):
    replay.append('offline', [episode(1)])
    assert replay.has_episode('e1')
    for dataset in ('offline', 'online'):
        with pytest.raises(ReplayError, match='already in'):
            replay.append(dataset, [episode(1)])
    with pytest.raises(ReplayError, match='already in'):
        replay.append('online', [episode(2), episode(2)])


def test_what_is_not_there_or_not_fitting_is_named(replay: Replay, tmp_path: Path):
    with pytest.raises(ReplayError, match='no replay at'):
        Replay.open(tmp_path / 'nothing')
    other = ReplayLayout('other', 30.0, ('j0',), ('j0',), ('left',))
    with pytest.raises(ReplayError, match="made for profile 'toy'"):
        Replay.create(replay.uri, other)
    with pytest.raises(ReplayError, match="no data set 'test'"):
        replay.version('test')
    replay.append(
        'online', [episode(1, jpeg={c: [None, b'x', *[None] * 8] for c in LAYOUT.cameras})]
    )
    with pytest.raises(ReplayError, match='before the first frame'):
        replay.jpegs(replay.global_rows('online', np.array([0])))


@pytest.mark.parametrize('keep_s', [0.0, 3600.0])
def test_compaction_forgets_only_what_was_superseded_long_ago(replay: Replay, monkeypatch, keep_s):
    """A reader may sit on a snapshot for as long as that: its images stay readable meanwhile."""
    for number in range(5):
        replay.append('online', [episode(number)])
    reader = Replay.open(replay.uri)
    rows = reader.global_rows('online', np.arange(50))
    monkeypatch.setattr('lwd_learner.replay.dataset.KEEP_OLD_VERSIONS_S', keep_s)
    replay.compact()
    if keep_s:
        assert reader.jpegs(rows) == replay.jpegs(rows)
    else:
        with pytest.raises(ReplayError, match=r'snapshot .* is gone; refresh'):
            reader.jpegs(rows)
        reader.refresh()
        assert reader.jpegs(rows) == replay.jpegs(rows)


def test_compaction_by_another_process_between_appends(replay: Replay):
    """The writer goes on; nothing is lost or doubled, and rows keep their numbers."""
    for number in range(6):
        replay.append('online', [episode(number)])
        if number % 2:
            Replay.open(replay.uri).compact()
    assert_same(Replay.open(replay.uri), replay)
    rows = replay.global_rows('online', np.arange(60))
    assert Replay.open(replay.uri).jpegs(rows) == replay.jpegs(rows)


def test_low_dimensional_columns_too_large_for_memory_are_read_when_asked_for(tmp_path: Path):
    """The same columns and batches, whether a replay was opened large, grew large, or lies in memory."""
    rng = np.random.default_rng(0)

    def some(number: int) -> EpisodeFrames:
        values = rng.normal(size=(20, 5)).astype(np.float32)
        more = {'state': values[:, :3], 'action': values[:, 3:], 'source': np.ones(20, np.uint8)}
        return episode(number, rows=20, labels=number % 3, **more)

    small = ReplayConfig(low_dimensional_bytes=45 * 4 * 7)
    growing = Replay.create(tmp_path / 'replay', LAYOUT, small)
    for number in range(4):
        growing.append('online', [some(number)])
        assert growing.index('online').low.in_memory == (number < 2)
    large, held = Replay.open(growing.uri, config=small), Replay.open(growing.uri)
    assert not large.index('online').low.in_memory and held.index('online').low.in_memory
    assert_same(large, held)
    assert_same(growing, held)
    rows = held.global_rows('online', np.array([79, 3, 41, 3]))
    np.testing.assert_array_equal(large.labels(rows), held.labels(rows))
    config = SamplerConfig(batch_size=64, horizon=4)
    for one, other in zip(
        *(astuple(Sampler(replay, config).sample()) for replay in (large, held)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
