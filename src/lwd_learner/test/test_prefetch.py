"""Batches decoded ahead by other processes are those that one process would have made."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from lwd_learner.replay import (
    EpisodeFrames,
    Prefetcher,
    Replay,
    ReplayError,
    ReplayLayout,
    Sampler,
    SamplerConfig,
)

LAYOUT = ReplayLayout('toy', 30.0, ('j0',), ('j0',), ('left', 'right'))


def episode(name: str, seed: int) -> EpisodeFrames:
    rng = np.random.default_rng(seed)
    rows = 20

    def jpeg(t: int, camera: int) -> bytes | None:
        image = np.full((16, 24, 3), (10 * t, 100 * camera, seed), np.uint8)
        return simplejpeg.encode_jpeg(image) if t % (2 + camera) == 0 else None

    return EpisodeFrames(
        episode_id=name,
        robot_id='toy_01',
        task='stack',
        instruction='stack them',
        kind='rollout',
        outcome='success',
        stamp_s=np.arange(rows) / 30,
        state=rng.normal(size=(rows, 1)).astype(np.float32),
        action=rng.normal(size=(rows, 1)).astype(np.float32),
        source=np.ones(rows, np.uint8),
        policy_version=np.zeros(rows, np.int64),
        jpeg={c: [jpeg(t, i) for t in range(rows)] for i, c in enumerate(LAYOUT.cameras)},
    )


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    replay = Replay.create(tmp_path / 'replay', LAYOUT)
    replay.append('offline', [episode('a', 1), episode('b', 2)])
    replay.append('online', [episode('c', 3)])
    return replay


def sampler(replay: Replay, seed: int = 7) -> Sampler:
    return Sampler(replay, SamplerConfig(batch_size=12, horizon=4, online_share=0.5, seed=seed))


def test_two_workers_give_what_one_process_gives_and_it_goes_on_where_it_stopped(replay: Replay):
    """Across an append and a refresh, and from a state that went through JSON, in another sampler."""
    plain = sampler(replay)
    ahead = sampler(replay)
    with Prefetcher(ahead, workers=2) as prefetcher:
        for number, got in zip(range(5), prefetcher, strict=False):
            expected = plain.sample()
            np.testing.assert_array_equal(got.batch.start, expected.start)
            np.testing.assert_array_equal(got.images, replay.images(expected.row), str(number))
            np.testing.assert_array_equal(got.next_images, replay.images(expected.next_row))
        state = json.loads(json.dumps(prefetcher.state_dict()))
        replay.append('online', [episode('d', 4)])
        ahead.refresh()
        later = [got.batch.start.copy() for _, got in zip(range(8), prefetcher, strict=False)]
    assert (
        max(start.max() for start in later) & 0xFF > 20
    )  # the new episode is drawn, and was read
    resumed = sampler(replay, seed=0)
    resumed.load_state_dict(state)
    for start in later[:2]:  # drawn before the refresh
        np.testing.assert_array_equal(resumed.sample().start, start)
        np.testing.assert_array_equal(plain.sample().start, start)


def test_what_goes_wrong_in_a_worker_is_told(replay: Replay):
    broken = episode('broken', 9)
    broken.jpeg['left'][0] = b'no jpeg'  # type: ignore[index]
    other = Replay.create(Path(replay.uri).with_name('other'), LAYOUT)
    other.append('online', [episode('fine', 1), broken])
    with Prefetcher(sampler(other), workers=1) as prefetcher:
        with pytest.raises(ReplayError, match='is no decodable JPEG'):
            for _ in range(40):
                next(prefetcher)
        worker = prefetcher._workers[0]
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        with pytest.raises(ReplayError, match='image worker 0 died, exit code -9'):
            for _ in range(4):
                next(prefetcher)
    with pytest.raises(ReplayError, match='workers 0'):
        Prefetcher(sampler(replay), workers=0)
    with pytest.raises(ReplayError, match='nothing to sample'):
        Prefetcher(sampler(Replay.create(Path(replay.uri).with_name('empty'), LAYOUT)))
