"""From files of episodes to single steps with a task's rewards."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bench.ogbench import data
from bench.ogbench.collect import (
    EPISODE_STATES,
    EPISODES_PER_FILE,
    CollectConfig,
    EpisodeMaker,
    cube_stays_in_sight,
    file_of,
)
from bench.ogbench.tasks import TASKS

PER_FILE = EPISODES_PER_FILE * (EPISODE_STATES - 1)


def write(folder, number: int) -> None:
    """A file whose states carry their own number."""
    shape = (EPISODES_PER_FILE, EPISODE_STATES, 1)
    rows = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + number * np.prod(shape)
    np.savez(file_of(folder, number), observations=rows, actions=rows, qpos=rows)


def test_files_follow_each_other_and_episodes_end_in_their_last_state(tmp_path, monkeypatch):
    for number in range(2):
        write(tmp_path, number)

    def parts_left(_task, kept):
        return -(kept['qpos'][:, 0] % 3), kept['qpos'][:, 0] % 3 == 0

    monkeypatch.setattr(data, 'task_rewards', parts_left)
    dense = data.load_steps(tmp_path, PER_FILE + 1, TASKS['cube-double'])
    assert np.array_equal(dense.observation[:, 0], np.arange(2 * EPISODES_PER_FILE * 1001))
    assert sorted(set(dense.reward)) == [-2.0, -1.0, 0.0]
    assert list(dense.last[[0, 1000, 1001, 2001]]) == [1000, 1000, 2001, 2001]
    assert np.abs(dense.action).max() < 1.0
    sparse = data.load_steps(tmp_path, PER_FILE, TASKS['scene'])
    assert len(sparse.reward) == EPISODES_PER_FILE * EPISODE_STATES
    assert sorted(set(sparse.reward)) == [-1.0, 0.0]
    assert np.array_equal(sparse.reward == 0, sparse.success)


def test_too_few_data_are_refused_with_the_remedy(tmp_path):
    write(tmp_path, 0)
    with pytest.raises(FileNotFoundError, match=r'take 2 files; run bench\.ogbench\.collect'):
        data.read_states(tmp_path, PER_FILE + 1)


def test_a_cube_that_left_the_table_is_seen():
    qpos = np.zeros((4, 17))
    assert cube_stays_in_sight(qpos)
    for y, z, fine in ((0.3, 0.0, False), (-0.31, 0.0, False), (-0.31, 0.07, True)):
        qpos[2, 15:] = y, z
        assert cube_stays_in_sight(qpos) == fine


def test_an_episode_is_a_function_of_its_seed():
    pytest.importorskip('ogbench')
    maker = EpisodeMaker(CollectConfig('puzzle-3x3'))
    maker.make(0)
    after_another = maker.make(1)
    fresh = EpisodeMaker(CollectConfig('puzzle-3x3')).make(1)
    assert after_another.keys() == fresh.keys()
    assert all(np.array_equal(v, fresh[k]) for k, v in after_another.items())
    assert fresh['observations'].shape == (EPISODE_STATES, fresh['observations'].shape[1])


@pytest.mark.parametrize('family', TASKS)
def test_rewards_are_those_of_the_environment(family):
    """What is read off recorded states is what the task's own environment answers."""
    gymnasium = pytest.importorskip('gymnasium')
    pytest.importorskip('ogbench.manipspace')
    task = dataclasses.replace(TASKS[family])
    environment = gymnasium.make(task.environment)
    environment.reset(seed=3)
    rewards, kept = [], {'qpos': [], 'qvel': [], 'button_states': []}
    for _ in range(20):
        _, reward, _, _, info = environment.step(environment.action_space.sample())
        rewards.append(reward)
        for name, rows in kept.items():
            if f'prev_{name}' in info:
                rows.append(np.array(info[f'prev_{name}']))
    found, success = data.task_rewards(task, {k: np.array(v) for k, v in kept.items() if v})
    assert np.array_equal(found, rewards)
    assert not success.any()
