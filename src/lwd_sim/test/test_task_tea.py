"""Tea, and the beads and pouring it is made of: each predicate holds when and only when it should."""

from __future__ import annotations

import math

import numpy as np
import pytest
from lwd_sim.operator import Operator, Skill
from lwd_sim.tasks import SHIFTS, Shift
from lwd_sim.tasks.pouring import grip_point, hand_axes, hand_roll, holds
from lwd_sim.tasks.tea import BEADS, CUP, ENOUGH, KETTLE, SCOOP, VESSELS, Tea
from lwd_sim.world import World


@pytest.mark.parametrize('shift', SHIFTS)
def test_the_operator_makes_tea(world: World, shift: Shift) -> None:
    for seed in range(300, 305):
        world.reset('tea', seed, shift)
        operator = Operator(world, Skill.expert(), seed)
        while not world.success and world.tick < math.ceil(world.time_limit_s * 30):
            world.step(operator.act())
        assert world.success, seed


def start(world: World, seed: int = 3) -> Tea:
    world.reset('tea', seed)
    task = world.task
    assert isinstance(task, Tea)
    return task


def test_beads_are_counted_in_the_vessel_that_they_are_in(world: World) -> None:
    task = start(world)
    for vessel in VESSELS:
        task.beads.fill(world.scene, vessel)
        assert [task.beads.inside(world.scene, v) for v in VESSELS] == [
            BEADS if v is vessel else 0 for v in VESSELS
        ]
    at = world.scene.item('cup').qpos
    world.scene.data.qpos[at + 3 : at + 7] = np.sqrt([0.5, 0.5, 0.0, 0.0])  # on its side
    task.beads.fill(world.scene, CUP)
    assert task.beads.inside(world.scene, CUP) == BEADS
    world.scene.data.qpos[at + 2] += 0.10  # the cup goes, the beads stay
    assert task.beads.inside(world.scene, CUP) == 0


def test_beads_stay_in_a_vessel_at_rest(world: World) -> None:
    task = start(world)
    for _ in range(60):
        world.step(world.profile.home)
    assert task.beads.inside(world.scene, SCOOP) == BEADS
    assert not task.lost(world.scene)
    assert world.progress == 0.0


def take_up(world: World, side: str, name: str, height: float) -> None:
    """Put a vessel between the closed pads of a hand that is ``height`` m above where the vessel stood."""
    scene, vessel = world.scene, {v.name: v for v in VESSELS}[name]
    operator = Operator(world, Skill.expert(), 0)
    foot = scene.position(name)
    beads = [world.task.beads.inside(scene, v) for v in VESSELS]  # type: ignore[attr-defined]
    scene.place(name, foot + np.array([0.0, 0.0, height]))
    axes = hand_axes(side, yaw=0.0)
    arm = operator._ik[side].solve(
        scene.data.qpos, grip_point(scene, vessel), axes, operator._ready[side], iterations=150
    )
    scene.data.qpos[scene.arm_qpos[side]] = arm.q
    for finger in (f'gripper_{side}', f'gripper_{side}_outer'):
        scene.data.qpos[scene.model.joint(finger).qposadr[0]] = 0.04
    first = 0 if side == 'l' else 7
    scene.data.ctrl[first : first + 7] = arm.q
    scene.data.ctrl[14 if side == 'l' else 15] = 1.0
    if beads[VESSELS.index(vessel)]:
        world.task.beads.fill(scene, vessel)  # type: ignore[attr-defined]
    world.restore('tea', 3, 'trained', scene.data.qpos, scene.data.qvel, scene.data.ctrl)


def test_each_stage_is_done_when_and_only_when_it_should_be(world: World) -> None:
    task = start(world)
    scene = world.scene
    assert task.stages_done(scene) == 0
    take_up(world, 'l', 'scoop', 0.08)
    assert holds(scene, 'l', SCOOP)
    assert task.stages_done(scene) == 1
    task.beads.fill(scene, KETTLE, ENOUGH - 1)
    assert task.stages_done(scene) == 1  # the rest is on its way
    task.beads.fill(scene, KETTLE)
    assert task.stages_done(scene) == 2

    task = start(world)
    task.beads.fill(scene, KETTLE)
    assert task.stages_done(scene) == 2
    take_up(world, 'l', 'kettle', 0.08)
    assert task.stages_done(scene) == 3
    task.beads.fill(scene, CUP)
    assert task.stages_done(scene) == 4


def test_tea_is_served_only_on_the_tray_full_upright_let_go_and_at_rest(world: World) -> None:
    task = start(world)
    scene = world.scene
    tray = world.label()[3:6].astype(float)
    scene.place('cup', tray)
    assert not world.success  # empty
    task.beads.fill(scene, CUP, ENOUGH - 1)
    assert not world.success  # not enough
    task.beads.fill(scene, CUP)
    assert world.success
    assert task.stages_done(scene) == 5
    scene.data.qvel[scene.item('cup').qvel] = 0.5
    assert not world.success  # it moves
    scene.place('cup', tray + np.array([0.0, 0.0, 0.05]))
    task.beads.fill(scene, CUP)
    assert not world.success  # above the tray
    scene.place('cup', tray + np.array([0.10, 0.0, 0.0]))
    task.beads.fill(scene, CUP)
    assert not world.success  # beside it
    scene.place('cup', tray)
    take_up(world, 'r', 'cup', 0.0)
    assert not world.success  # still held


def test_spilt_tea_or_a_fallen_cup_is_lost(world: World) -> None:
    task = start(world)
    scene = world.scene
    for i, columns in enumerate(task.beads.columns(scene)):
        assert task.lost(scene) == (BEADS - i < ENOUGH)
        scene.data.qpos[columns] = [0.9, 0.0, world.label()[5] + 0.001]
    task = start(world)
    at = scene.item('cup').qpos
    scene.data.qpos[at + 3 : at + 7] = np.sqrt([0.5, 0.5, 0.0, 0.0])
    assert task.lost(scene)


def test_a_vessel_that_somebody_else_took_first_goes_back(world: World) -> None:
    task = start(world)
    take_up(world, 'l', 'kettle', 0.05)  # nothing to pour yet
    assert task.waypoint(world.scene).stage in ('lower', 'carry')
    operator = Operator(world, Skill.expert(), 0)
    while not world.success:
        world.step(operator.act())
        assert world.tick < 45 * 30


@pytest.mark.parametrize('side', ['l', 'r'])
def test_the_roll_of_a_hand_is_what_it_was_rolled_by(world: World, side: str) -> None:
    start(world)
    scene = world.scene
    site = scene.model.site(f'tcp_{side}').id
    for roll in (-2.0, -0.5, 0.0, 0.5, 2.0):
        axes = hand_axes(side, roll)
        scene.data.site_xmat[site] = axes.reshape(-1)
        assert hand_roll(scene, side) == pytest.approx(roll)
        level = hand_axes(side)[:, 0] * (1 if side == 'l' else -1)
        assert (axes @ hand_axes(side).T @ [0, 0, 1] @ level < 0) == (roll > 0) or roll == 0
