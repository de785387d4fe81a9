"""A small replay of made-up episodes, for tests of training: random pictures, smooth joints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import simplejpeg
from lwd_learner.replay import EpisodeFrames, Replay
from lwd_policy_node.profile import load_profile

PROFILE = load_profile('g1_laptop')


def episode(
    number: int, outcome: str, kind: str, ticks: int = 45, human_from: int | None = None
) -> EpisodeFrames:
    rng = np.random.default_rng(number)
    walk = np.cumsum(rng.normal(scale=0.02, size=(ticks, 40)), axis=0).astype(np.float32)
    columns = list(PROFILE.action_columns_in_state())
    pictures = {
        camera.name: [
            simplejpeg.encode_jpeg(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
            if t % 3 == 0
            else None
            for t in range(ticks)
        ]
        for camera in PROFILE.cameras
    }
    source = np.full(ticks, 2 if kind == 'demonstration' else 1, np.uint8)
    if human_from is not None:
        source[human_from:] = 2
    return EpisodeFrames(
        episode_id=f'{kind}-{number}',
        robot_id='g1_01',
        task='restock',
        instruction='restock the red can' if number % 2 else 'restock the blue box',
        kind=kind,
        outcome=outcome,
        stamp_s=np.arange(ticks) / 30,
        state=walk,
        action=walk[:, columns] + 0.01,
        source=source,
        policy_version=np.where(source == 1, 3, 0).astype(np.int64),
        jpeg=pictures,
        seed=number,
        label=walk[:, :6],
        label_names=tuple('abcdef'),
    )


def make_replay(folder: Path, online: bool = True) -> None:
    replay = Replay.create(folder, PROFILE)
    replay.append(
        'offline',
        [episode(i, 'success' if i % 3 else 'failure', 'demonstration') for i in range(6)],
    )
    if online:
        replay.append(
            'online',
            [
                episode(10, 'success', 'rollout'),
                episode(11, 'failure', 'rollout'),
                episode(12, 'success', 'rollout', human_from=20),
                episode(13, 'success', 'rollout'),
            ],
        )
