"""Small episodes made by hand, and what of two replays must be equal, for tests of the replay."""

from __future__ import annotations

import numpy as np
from lwd_learner.replay import EpisodeFrames, Replay, ReplayLayout
from lwd_learner.replay.growable import GrowableArray
from lwd_learner.replay.low_dimensional import Column

LAYOUT = ReplayLayout('toy', 30.0, ('j0', 'j1'), ('j0', 'j1', 'head'), ('left', 'right'))


def episode(number: int, rows: int = 10, labels: int = 0, **facts) -> EpisodeFrames:
    jpeg = {
        camera: [f'{number}/{t}/{camera}'.encode() if t % 2 == 0 else None for t in range(rows)]
        for camera in LAYOUT.cameras
    }
    fields = {
        'episode_id': f'e{number}',
        'robot_id': 'toy_01',
        'task': 'stack',
        'instruction': 'stack them',
        'kind': 'rollout',
        'outcome': 'success',
        'stamp_s': 5.0 + np.arange(rows) / 30,
        'state': np.full((rows, 3), number, np.float32),
        'action': np.full((rows, 2), number, np.float32),
        'source': np.ones(rows, np.uint8),
        'policy_version': np.full(rows, number),
        'jpeg': jpeg,
        'label': np.full((rows, labels), number, np.float32) if labels else None,
        'label_names': tuple(f'x{i}' for i in range(labels)),
    }
    return EpisodeFrames(**(fields | facts))


def columns(replay: Replay, dataset: str) -> dict[str, np.ndarray]:
    index = vars(replay.index(dataset))
    arrays = {
        name: value.data
        for name, value in index.items()
        if isinstance(value, GrowableArray | Column)
    }
    out = {name: array.copy() for name, array in arrays.items()}
    out['task'] = np.array([replay.tasks[code] for code in out['task']])
    out['instruction'] = np.array([replay.instructions[code] for code in out['instruction']])
    return out


def assert_same(one: Replay, other: Replay) -> None:
    for dataset in ('offline', 'online'):
        mine, theirs = columns(one, dataset), columns(other, dataset)
        for name, column in mine.items():
            np.testing.assert_array_equal(column, theirs[name], err_msg=name)
        assert one.episodes(dataset) == other.episodes(dataset)
