"""A learner samples while ingest appends and compaction runs, each its own process: only whole snapshots are seen."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lwd_learner.replay import (
    EpisodeFrames,
    Prefetcher,
    Replay,
    ReplayConfig,
    ReplayLayout,
    Sampler,
    SamplerConfig,
)

LAYOUT = ReplayLayout('toy', 30.0, ('j0',), ('j0',), ('eye', 'hand'))


def length(number: int) -> int:
    return 5 + number % 7


def episode(number: int) -> EpisodeFrames:
    """Everything in it says which episode it is."""
    import simplejpeg

    rows = length(number)
    shade = np.full((8, 8, 3), number % 251, np.uint8)
    picture = simplejpeg.encode_jpeg(shade, 100)
    return EpisodeFrames(
        episode_id=f'e{number}',
        robot_id='toy_01',
        task=f'task {number % 3}',
        instruction='do it',
        kind='rollout' if number % 2 else 'demonstration',
        outcome='success',
        stamp_s=np.arange(rows) / 30,
        state=np.full((rows, 1), number, np.float32),
        action=np.full((rows, 1), number, np.float32),
        source=np.ones(rows, np.uint8),
        policy_version=np.full(rows, number),
        jpeg={camera: [picture] * rows for camera in LAYOUT.cameras},
    )


def write(uri: str, count: int, go: Any) -> None:
    """Three episodes a commit, to each data set in turn."""
    replay = Replay.open(uri)
    assert go.wait(120)
    for first in range(0, count, 6):
        for parity, dataset in ((0, 'offline'), (1, 'online')):
            replay.append(dataset, [episode(first + parity + 2 * i) for i in range(3)])


def compact(uri: str, stop: Any) -> None:
    while not stop.wait(0.05):
        Replay.open(uri).compact()


@pytest.mark.parametrize(
    'count', [60, pytest.param(1200, marks=pytest.mark.long)], ids=['short', 'long']
)
@pytest.mark.parametrize('low_dimensional_bytes', [1 << 30, 0], ids=['in memory', 'on disk'])
def test_only_whole_snapshots_are_seen(tmp_path: Path, count: int, low_dimensional_bytes: int):
    replay = Replay.create(
        tmp_path / 'replay',
        LAYOUT,
        ReplayConfig(low_dimensional_bytes=low_dimensional_bytes, jpeg_cache_bytes=0),
    )
    replay.append('offline', [episode(count)])
    replay.append('online', [episode(count + 1)])
    context = multiprocessing.get_context('spawn')
    go, stop = context.Event(), context.Event()
    writer = context.Process(target=write, args=(replay.uri, count, go))
    compactor = context.Process(target=compact, args=(replay.uri, stop))
    sampler = Sampler(replay, SamplerConfig(batch_size=32, horizon=3, online_share=0.5))
    writer.start()
    compactor.start()
    seen: set[tuple[int, int]] = set()
    try:
        with Prefetcher(sampler, workers=1) as prefetcher:
            check_batch(replay, next(prefetcher))
            go.set()
            while True:
                alive = writer.is_alive()
                replay.refresh()
                sampler.refresh()
                check_whole(replay)
                seen.add((len(replay.episodes('offline')), len(replay.episodes('online'))))
                check_batch(replay, next(prefetcher))
                if not alive:
                    break
    finally:
        stop.set()
        writer.join(60)
        compactor.join(60)
    assert writer.exitcode == compactor.exitcode == 0
    assert len(replay.episodes('offline')) == len(replay.episodes('online')) == count // 2 + 1
    assert len(seen) > 1, 'nothing was seen of the growth'


def check_whole(replay: Replay) -> None:
    """Commits of three whole episodes, one after the other."""
    for parity, dataset in ((0, 'offline'), (1, 'online')):
        index, episodes = replay.index(dataset), replay.episodes(dataset)
        assert len(episodes) % 3 == 1
        numbers = [int(episode.episode_id[1:]) for episode in episodes]
        assert numbers[1:] == list(range(parity, 2 * len(numbers) - 2, 2))
        lengths = [length(number) for number in numbers]
        np.testing.assert_array_equal(index.policy_version.data, np.repeat(numbers, lengths))
        np.testing.assert_array_equal(index.state.data[:, 0], np.repeat(numbers, lengths))


def check_batch(replay: Replay, got: Any) -> None:
    """States, actions and pictures of a row are those of its episode."""
    batch = got.batch
    names = [
        replay.episodes('online' if d else 'offline')[e].episode_id
        for d, e in zip(batch.dataset.tolist(), batch.episode.tolist(), strict=True)
    ]
    number = np.array([int(name[1:]) for name in names])
    np.testing.assert_array_equal(batch.state[:, 0], number)
    np.testing.assert_array_equal(batch.next_state[:, 0], number)
    np.testing.assert_array_equal(batch.action[:, :, 0], np.repeat(number[:, None], 3, axis=1))
    for images in (got.images, got.next_images):
        shade = images.reshape(len(number), -1)
        assert (np.abs(shade - (number % 251)[:, None].astype(int)) <= 1).all()
