"""Juice: the operator solves it, the blade cuts only a fruit that lies under it; stage predicates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from lwd_sim.operator import Operator, Skill
from lwd_sim.robot.shapes import FINGER_STROKE_M
from lwd_sim.tasks import SHIFTS, Shift
from lwd_sim.tasks import juice_stand as stand
from lwd_sim.tasks.juice import Juice
from lwd_sim.tasks.juice_stand import HALVES
from lwd_sim.world import World


@pytest.fixture
def task(world: World) -> Juice:
    """A scene, its robot at home, and the task in it."""
    world.reset('juice', 3)
    assert isinstance(world.task, Juice)
    return world.task


def lay(world: World, task: Juice, x: float = 0.0, yaw: float = 0.0) -> None:
    """Put the whole fruit on the board, ``x`` m beside the blade's plane."""
    task.lay_fruit(world.scene, task.places.seat + np.array([x, 0.0, 0.0005]), yaw)


def push_blade(world: World, newtons: float, ticks: int = 30) -> None:
    """What the right hand does, as a force on the slide; the arms stay at home."""
    dof = world.scene.model.joint('blade').dofadr[0]
    for _ in range(ticks):
        world.scene.data.qfrc_applied[dof] = -newtons
        world.step(world.profile.home)
    world.scene.data.qfrc_applied[dof] = 0.0


def into_juicer(world: World, task: Juice, name: str, aside: float) -> None:
    height = stand.HOPPER_FLOOR + task.fruit.radius + 0.001
    world.scene.place(name, task.places.juicer + np.array([0.0, aside, height]))


def cup_at(world: World, floor: np.ndarray, height: float) -> None:
    at = floor + np.array([0.0, 0.0, height + stand.CUP.half_height + 0.0005])
    world.scene.place('cup', at)


def all_done(world: World, task: Juice) -> None:
    world.scene.latch('cut')
    for name, aside in zip(HALVES, (-0.03, 0.03), strict=True):
        into_juicer(world, task, name, aside)
    cup_at(world, task.places.tray, stand.TRAY_TOP)


@pytest.mark.parametrize('shift', SHIFTS)
def test_the_operator_serves_juice(world: World, shift: Shift) -> None:
    for seed in range(5):
        world.reset('juice', seed, shift)
        operator = Operator(world, Skill.expert(), seed)
        while not world.success:
            world.step(operator.act())
            assert world.tick < math.ceil(world.time_limit_s * 30)


def test_the_blade_cuts_the_fruit_and_comes_up_again(world: World, task: Juice) -> None:
    lay(world, task)
    push_blade(world, 0.0)
    assert world.progress == 1 / 5
    assert world.scene.slide('blade') > -0.01  # it does not fall by itself
    assert not world.scene.latched('cut')
    push_blade(world, 30.0)
    assert world.scene.latched('cut')
    assert world.progress == 2 / 5
    push_blade(world, 0.0, ticks=60)
    assert world.scene.slide('blade') > -0.01
    assert world.scene.latched('cut')


def test_the_rind_stops_a_blade_that_misses_the_seam(world: World, task: Juice) -> None:
    lay(world, task, x=0.02)
    push_blade(world, 30.0)
    assert world.scene.slide('blade') > -0.9 * stand.BLADE_STROKE
    assert not world.scene.latched('cut')


def test_a_blade_that_falls_on_an_empty_board_cuts_nothing(world: World, task: Juice) -> None:
    push_blade(world, 30.0)
    assert world.scene.slide('blade') < -0.95 * stand.BLADE_STROKE
    assert not world.scene.latched('cut')
    assert world.progress == 0.0


def test_the_halves_hold_together_until_they_are_cut(world: World, task: Juice) -> None:
    def gap_after_a_pull() -> float:
        lay(world, task)
        world.scene.data.qvel[world.scene.item(HALVES[0]).qvel] = -1.0  # away from the other half
        for _ in range(10):
            world.step(world.profile.home)
        near, far = (world.scene.position(name) for name in HALVES)
        return float(np.linalg.norm(far - near)) - 2 * stand.HALF_LENGTH

    assert gap_after_a_pull() < 0.003
    world.scene.latch('cut')
    world.step(world.profile.home)  # the weld breaks at the end of a tick
    assert gap_after_a_pull() > 0.01


def test_the_fruit_must_lie_across_under_the_blade(world: World, task: Juice) -> None:
    assert task.stages_done(world.scene) == 0
    lay(world, task)
    assert task.stages_done(world.scene) == 1
    lay(world, task, x=0.015)
    assert task.stages_done(world.scene) == 0
    lay(world, task, yaw=0.5)
    assert task.stages_done(world.scene) == 0
    task.lay_fruit(world.scene, task.places.seat + np.array([0.0, 0.0, 0.03]), 0.0)
    assert task.stages_done(world.scene) == 0  # above the board


def test_pieces_count_only_inside_the_juicer_and_after_the_cut(world: World, task: Juice) -> None:
    into_juicer(world, task, HALVES[0], -0.03)
    into_juicer(world, task, HALVES[1], 0.03)
    assert task.stages_done(world.scene) == 0
    world.scene.latch('cut')
    assert task.stages_done(world.scene) == 4
    into_juicer(world, task, HALVES[1], 0.09)
    assert task.stages_done(world.scene) == 3
    world.scene.place(HALVES[0], task.places.juicer + np.array([0.0, 0.0, 0.2]))
    assert task.stages_done(world.scene) == 2  # over it


def test_success_is_both_pieces_juiced_and_the_cup_let_go_on_the_tray(
    world: World, task: Juice
) -> None:
    all_done(world, task)
    assert world.success
    assert world.progress == 1.0
    world.scene.latch('cut', False)
    assert not world.success
    all_done(world, task)
    cup_at(world, task.places.tray, stand.TRAY_TOP + 0.03)
    assert not world.success  # above the tray
    cup_at(world, task.places.tray + np.array([0.0, 0.08, 0.0]), 0.0)
    assert not world.success  # beside it
    cup_at(world, task.places.tray, stand.TRAY_TOP)
    gripper = world.scene.model.joint('gripper_l').qposadr[0]
    world.scene.data.qpos[gripper] = FINGER_STROKE_M - stand.CUP.half_width
    assert not world.success  # not let go
    world.scene.data.qpos[gripper] = 0.0
    assert world.success
    world.scene.data.qvel[world.scene.item('cup').qvel] = 1.0
    assert not world.success  # still moving


def test_a_shadow_that_knows_only_qpos_knows_the_cut(world: World, task: Juice) -> None:
    world.scene.latch('cut')
    state = world.snapshot()
    world.reset('juice', 4)
    world.restore('juice', 3, 'trained', state.qpos, state.qvel, state.ctrl)
    assert world.progress == 2 / 5


def test_a_fallen_cup_and_a_hand_under_the_blade_are_trouble(world: World, task: Juice) -> None:
    scene = world.scene
    assert not task.lost(scene) and not task.danger(scene)
    scene.data.qpos[scene.model.joint('blade').qposadr[0]] = -0.1
    scene.data.site_xpos[scene.model.site('tcp_l').id] = task.places.seat
    assert task.danger(scene)
    at = scene.item('cup').qpos
    scene.data.qpos[at + 3 : at + 7] = [np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0]
    assert task.lost(scene)
