"""Worlds are reproducible: the same scene and commands give the same bytes, in one process or shadowed by another."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lwd_policy_node.profile import RobotProfile
from lwd_sim.operator import Operator, Skill
from lwd_sim.tasks import SHIFTS, TASKS
from lwd_sim.world import UnstableError, World


def bytes_of(world: World, task: str, seed: int, shift: str, ticks: int) -> tuple[bytes, ...]:
    seen = [world.reset(task, seed, shift)]  # type: ignore[arg-type]
    operator = Operator(world, Skill.noisy(), seed)
    seen += [world.step(operator.act()) for _ in range(ticks)]
    pictures = b''.join(image.tobytes() for one in seen for image in one.images.values())
    states = b''.join(one.state.tobytes() for one in seen)
    return states, pictures, world.snapshot().qpos.tobytes(), world.label().tobytes()


@pytest.mark.parametrize('task', sorted(TASKS))
@pytest.mark.parametrize('shift', SHIFTS)
def test_the_same_seed_gives_the_same_bytes(
    seeing: World, profile: RobotProfile, task: str, shift: str
) -> None:
    first = bytes_of(seeing, task, 5, shift, 45)
    bytes_of(seeing, task, 6, 'shift', 3)  # whatever was done before leaves no trace
    again = World(profile)
    assert bytes_of(seeing, task, 5, shift, 45) == first
    assert bytes_of(again, task, 5, shift, 45) == first
    again.close()


@pytest.mark.parametrize('task', sorted(TASKS))
def test_seeds_and_levels_give_different_scenes(world: World, task: str) -> None:
    labels = []
    for shift in SHIFTS:
        for seed in range(4):
            world.reset(task, seed, shift)
            labels.append(tuple(world.label().tolist()))
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize('task', sorted(TASKS))
def test_what_a_world_says_of_itself_fits_into_a_message(world: World, task: str) -> None:
    world.reset(task, 1)
    world.step(world.profile.home)
    assert type(world.success) is bool
    assert type(world.progress) is float
    assert type(world.score) is float
    assert world.label().dtype == np.float32


def test_images_come_at_camera_ticks_only(seeing: World, profile: RobotProfile) -> None:
    assert seeing.reset('restock', 1).images.keys() == {'head', 'hand_left', 'hand_right'}
    for _ in range(6):
        observation = seeing.step(profile.home)
        assert bool(observation.images) == (observation.tick % 3 == 0)
        assert observation.stamp_s == pytest.approx(observation.tick / 30)
        for camera in profile.cameras:
            if observation.images:
                image = observation.images[camera.name]
                assert (image.shape, image.dtype) == ((camera.height, camera.width, 3), np.uint8)
    assert seeing.step(profile.home, images=False).images == {}


@pytest.mark.parametrize('task', sorted(TASKS))
def test_a_restored_world_is_the_same_world(
    world: World, profile: RobotProfile, task: str
) -> None:
    world.reset(task, 11, 'shift')
    operator = Operator(world, Skill.expert(), 0)
    for _ in range(40):
        world.step(operator.act())
    now = world.snapshot()
    shadow = World(profile, render=False)
    shadow.restore(task, 11, 'shift', now.qpos, now.qvel, now.ctrl)
    assert shadow.instruction == world.instruction
    assert shadow.progress == world.progress
    np.testing.assert_array_equal(shadow.label(), world.label())
    np.testing.assert_array_equal(shadow.state(), world.state())
    for side in 'lr':
        np.testing.assert_array_equal(shadow.scene.tcp(side), world.scene.tcp(side))


def test_unknown_names_are_refused_by_name(world: World) -> None:
    with pytest.raises(KeyError, match='juggle'):
        world.reset('juggle', 0)
    with pytest.raises(ValueError, match='wild'):
        world.reset('restock', 0, 'wild')  # type: ignore[arg-type]


def test_a_reset_that_is_refused_leaves_the_scene_as_it_is(world: World) -> None:
    world.reset('restock', 3, 'shift')
    world.step(world.profile.home)
    before, label = world.snapshot(), world.label()
    with pytest.raises(ValueError, match='non-negative'):
        world.reset('handover', -1)
    assert world.task.name == 'restock'
    assert world.snapshot().qpos.tobytes() == before.qpos.tobytes()
    assert world.label().tobytes() == label.tobytes()


def test_a_simulation_that_blows_up_is_said_and_replaced_by_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    world.reset('restock', 3, 'shift')
    now = world.snapshot()
    world.scene.data.qvel[:] = 1e11  # more than MuJoCo takes for a speed
    for _ in range(2):  # it stays so
        with pytest.raises(UnstableError, match=r'restock.*seed 3.*shift.*tick 1'):
            world.step(world.profile.home)
    assert list(tmp_path.iterdir()) == []  # no MUJOCO_LOG.TXT
    fresh = World(world.profile, render=False)
    fresh.reset('restock', 3, 'shift')
    expected = fresh.step(world.profile.home).state.tobytes()
    world.restore('restock', 3, 'shift', now.qpos, now.qvel, now.ctrl)
    np.testing.assert_array_equal(world.step(world.profile.home).state, fresh.state())
    world.reset('restock', 3, 'shift')
    assert world.step(world.profile.home).state.tobytes() == expected


@pytest.mark.parametrize('rate_hz', [50.0, 100.0, 25.0, 960.0])
def test_a_control_rate_that_physics_cannot_keep_is_refused(
    profile: RobotProfile, rate_hz: float
) -> None:
    with pytest.raises(ValueError, match=rf'control_rate_hz {rate_hz:g}.* 24, 30, 32, 40, 48, 60'):
        World(replace(profile, control_rate_hz=rate_hz), render=False)


@pytest.mark.parametrize('rate_hz', [20.0, 60.0])
def test_a_camera_rate_that_is_no_share_of_the_control_rate_is_refused(
    profile: RobotProfile, rate_hz: float
) -> None:
    head, *hands = profile.cameras
    cameras = (replace(head, rate_hz=rate_hz), *hands)
    with pytest.raises(ValueError, match=rf'camera head: rate_hz {rate_hz:g}.* 30, 15, 10'):
        World(replace(profile, cameras=cameras), render=False)


@pytest.mark.parametrize(
    ('backend', 'expected'), [('disable', 'RenderingUnavailableError'), ('', 'drawn')]
)
def test_without_opengl_only_rendering_fails(backend: str, expected: str) -> None:
    script = f"""
import os, mujoco
os.environ['MUJOCO_GL'] = {backend!r}
from lwd_policy_node.profile import load_profile
from lwd_sim.world import UnstableError, World
world = World(load_profile('g1_laptop'), render=False)
world.reset('restock', 0)
world.step(world.profile.home)
try:
    World(load_profile('g1_laptop')).reset('restock', 0)
    print('drawn')
except RuntimeError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', script], capture_output=True, text=True, timeout=60
    )
    assert expected in done.stdout, done.stderr
