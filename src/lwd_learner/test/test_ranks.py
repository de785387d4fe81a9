"""Data-parallel ranks: one snapshot, one global batch, each its own part."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed as dist
from lwd_learner.replay import Replay, ReplayLayout, Sampler, SamplerConfig
from lwd_learner.replay.frames import EpisodeFrames
from lwd_learner.replay.ranks import same_snapshot

LAYOUT = ReplayLayout('toy', 30.0, ('j0',), ('j0',), ('eye',))


def episode(name: str) -> EpisodeFrames:
    rows = 12
    return EpisodeFrames(
        episode_id=name,
        robot_id='toy_01',
        task='stack',
        instruction='stack them',
        kind='rollout',
        outcome='success',
        stamp_s=np.arange(rows) / 30,
        state=np.zeros((rows, 1), np.float32),
        action=np.zeros((rows, 1), np.float32),
        source=np.ones(rows, np.uint8),
        policy_version=np.zeros(rows, np.int64),
        jpeg={'eye': [b'.'] * rows},
    )


def rank(number: int, uri: str, folder: str, answers: Any) -> None:
    dist.init_process_group('gloo', init_method=f'file://{folder}/meet', rank=number, world_size=2)
    replay = Replay.open(uri)
    sampler = Sampler(
        replay, SamplerConfig(batch_size=8, horizon=2, online_share=0.5, rank=number, ranks=2)
    )
    writer = Replay.open(uri)
    for turn in range(3):
        if turn == number:  # one rank sees a commit that the other has not looked for
            writer.append('online', [episode(f'late-{number}')])
            writer.relabel(['first'], ('failure', 'aborted')[number])
            replay.refresh()
        snapshot = same_snapshot(replay)
        sampler.refresh()
        starts = [sampler.sample().start.tolist() for _ in range(3)]
        answers.put((turn, number, snapshot, len(replay), starts))
        assert replay.find('first')[1].outcome == ('failure', 'aborted', 'aborted')[turn]
        dist.barrier()
        writer.refresh()
    dist.destroy_process_group()


def test_ranks_agree_on_a_snapshot_and_share_each_batch(tmp_path: Path):
    replay = Replay.create(tmp_path / 'replay', LAYOUT)
    replay.append('offline', [episode('demo')])
    replay.append('online', [episode('first')])
    context = multiprocessing.get_context('spawn')
    answers = context.Queue()
    processes = [
        context.Process(target=rank, args=(number, replay.uri, str(tmp_path), answers))
        for number in (0, 1)
    ]
    for process in processes:
        process.start()
    got = {
        (turn, number): rest
        for turn, number, *rest in (answers.get(timeout=200) for _ in range(6))
    }
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    whole = Sampler(
        Replay.open(replay.uri, versions=got[0, 0][0]),
        SamplerConfig(batch_size=16, horizon=2, online_share=0.5),
    )
    for turn, rows in ((0, 36), (1, 48), (2, 48)):
        (snapshot, count, one), (other_snapshot, other_count, other) = got[turn, 0], got[turn, 1]
        assert snapshot == other_snapshot and count == other_count == rows
        whole.replay.refresh(snapshot)
        whole.refresh()
        for mine, theirs in zip(one, other, strict=True):
            batch = whole.sample()
            assert batch.start[0::2].tolist() == mine and batch.start[1::2].tolist() == theirs
