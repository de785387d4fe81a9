"""Many worlds in worker processes: the same bytes as one world alone, images only when asked for, and a clear end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest
from lwd_sim.vector import Episode, Moment, VectorWorld, WorkerDiedError, _moments
from lwd_sim.world import UnstableError, World

EPISODES = {
    0: Episode('restock', 3),
    1: Episode('handover', 4),
    2: Episode('restock', 5, 'shift'),
}


@pytest.fixture(scope='module')
def vector() -> Iterator[VectorWorld]:
    with VectorWorld(3, workers=2) as worlds:
        yield worlds


def test_worlds_in_processes_are_the_world_alone(vector: VectorWorld, seeing: World) -> None:
    rng = np.random.default_rng(0)
    home = vector.profile.home
    actions = [home + 0.05 * np.cumsum(rng.normal(size=(12, 16)), axis=0) for _ in EPISODES]
    seen: dict[int, list[Moment]] = {i: [moment] for i, moment in vector.reset(EPISODES).items()}
    for tick in range(12):
        for i, moment in vector.step({i: actions[i][tick] for i in EPISODES}).items():
            seen[i].append(moment)
    last = vector.observe(list(EPISODES))
    for i, episode in EPISODES.items():
        alone = [seeing.reset(episode.task, episode.seed, episode.shift)]
        alone += [seeing.step(actions[i][tick]) for tick in range(12)]
        for moment, expected in zip(seen[i], alone, strict=True):
            assert moment.observation.images == {}
            assert moment.observation.instruction == expected.instruction
            np.testing.assert_array_equal(moment.observation.state, expected.state)
        assert last[i].progress == seeing.progress
        assert last[i].success == seeing.success
        for camera, image in seeing.observe().images.items():
            np.testing.assert_array_equal(last[i].observation.images[camera], image)


def test_worlds_move_and_render_only_when_told(vector: VectorWorld) -> None:
    vector.reset(EPISODES)
    home = vector.profile.home
    moments = vector.step({0: home, 2: home}, images=[2])
    assert moments.keys() == {0, 2}
    assert not moments[0].observation.images
    assert moments[2].observation.images.keys() == {'head', 'hand_left', 'hand_right'}
    after = vector.step(dict.fromkeys(range(3), home), images=True)
    assert [after[i].observation.tick for i in range(3)] == [2, 1, 2]
    assert all(after[i].observation.images for i in range(3))
    again = vector.reset({1: Episode('restock', 9)}, images=True)
    assert again[1].observation.tick == 0
    assert again[1].observation.images


def test_what_a_world_refuses_is_told_and_all_go_on(vector: VectorWorld) -> None:
    vector.reset(EPISODES)
    with pytest.raises(KeyError, match='juggle'):
        vector.reset({0: Episode('juggle', 1)})
    with pytest.raises(ValueError, match='16 finite joint targets'):
        vector.step({0: vector.profile.home, 1: np.zeros(3), 2: vector.profile.home})
    vector.reset(EPISODES)
    assert vector.step(dict.fromkeys(range(3), vector.profile.home))[1].observation.tick == 1


def test_a_world_that_blows_up_is_named(world: World) -> None:
    world.reset('restock', 3)
    world.scene.data.qvel[:] = 1e11
    with pytest.raises(UnstableError, match=r'world 5: .*restock.*seed 3'):
        _moments({5: world}, 'step', [(5, (world.profile.home, False))])


def test_a_worker_that_dies_is_named_and_nothing_is_left_running() -> None:
    vector = VectorWorld(2, render=False, workers=2)
    vector.reset({0: Episode('restock', 1), 1: Episode('restock', 2)})
    processes = list(vector._processes)
    pid = processes[1].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    processes[1].join()
    with pytest.raises(WorkerDiedError, match=rf'worker 1 \(pid {pid}\).*exit code -9'):
        for _ in range(3):
            vector.step(dict.fromkeys(range(2), vector.profile.home))
    assert not any(process.is_alive() for process in processes)
    with pytest.raises(WorkerDiedError, match='closed'):
        vector.observe([0])
    vector.close()


def test_an_empty_vector_is_refused() -> None:
    with pytest.raises(ValueError, match='at least 1'):
        VectorWorld(0)


def test_rates_that_cannot_be_kept_are_refused_before_a_process_starts(odd_profile: str) -> None:
    with pytest.raises(ValueError, match='control_rate_hz 50'):
        VectorWorld(1, odd_profile)
