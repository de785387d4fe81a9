"""A replay in a bucket: a real S3 server (SeaweedFS) on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from lwd_learner.replay import (
    EpisodeFrames,
    Prefetcher,
    Replay,
    ReplayError,
    ReplayLayout,
    Sampler,
    SamplerConfig,
)
from lwd_recorder.store.loopback import serving

LAYOUT = ReplayLayout('toy', 30.0, ('j0',), ('j0',), ('eye',))


@pytest.fixture(scope='module')
def s3_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp('seaweedfs'), 'replays') as uri:
        yield uri


def episode(number: int) -> EpisodeFrames:
    import simplejpeg

    rows = 10
    picture = simplejpeg.encode_jpeg(np.full((8, 8, 3), number, np.uint8))
    return EpisodeFrames(
        episode_id=f'e{number}',
        robot_id='toy_01',
        task='stack',
        instruction='stack them',
        kind='rollout',
        outcome='success',
        stamp_s=np.arange(rows) / 30,
        state=np.full((rows, 1), number, np.float32),
        action=np.full((rows, 1), number, np.float32),
        source=np.ones(rows, np.uint8),
        policy_version=np.zeros(rows, np.int64),
        jpeg={'eye': [picture] * rows},
    )


@pytest.fixture
def uri(s3_bucket: str) -> Iterator[str]:
    yield f'{s3_bucket}/replay'


def test_a_replay_lives_in_a_bucket(uri: str):
    """Made, appended to, followed, sampled ahead by another process, relabelled, pruned, compacted."""
    replay = Replay.create(uri, LAYOUT)
    replay.append('online', [episode(1)])
    reader = Replay.open(uri)
    for number in range(2, 6):
        replay.append('online', [episode(number)])
    assert len(reader) == 10 and reader.refresh() == 40
    sampler = Sampler(reader, SamplerConfig(batch_size=16, horizon=2))
    with Prefetcher(sampler, workers=1) as prefetcher:
        got = next(prefetcher)
        shade = got.images.reshape(16, -1).astype(int)
        assert (np.abs(shade - got.batch.state.astype(int)) <= 2).all()
    before = replay.snapshot()
    replay.relabel(['e2'], 'failure')
    replay.prune(['e5'])
    replay.compact()
    rows = replay.global_rows('online', np.arange(40))
    fresh = Replay.open(uri)
    assert fresh.jpegs(rows) == reader.jpegs(rows)
    assert fresh.find('e2')[1].outcome == 'failure' and len(fresh.kept('online')) == 4
    assert Replay.open(uri, versions=before).find('e2')[1].outcome == 'success'
    with pytest.raises(ReplayError, match='holds no new frame'):
        fresh.jpegs(replay.global_rows('online', np.array([40])))
