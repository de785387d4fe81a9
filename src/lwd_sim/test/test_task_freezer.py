"""Freezer: the lid, the item, the hands: each stage counts when and only when it should."""

from __future__ import annotations

import numpy as np
import pytest
from lwd_sim.operator import Operator, Skill
from lwd_sim.robot.shapes import FINGER_STROKE_M
from lwd_sim.tasks import SHIFTS, Shift
from lwd_sim.tasks.freezer import Freezer
from lwd_sim.tasks.joinery import LID_TRAVEL
from lwd_sim.world import World


def begin(world: World, seed: int = 3, shift: Shift = 'trained') -> Freezer:
    world.reset('freezer', seed, shift)
    task = world.task
    assert isinstance(task, Freezer)
    return task


def set_lid(world: World, metres: float) -> None:
    world.scene.data.qpos[world.scene.model.joint('freezer_lid').qposadr[0]] = metres


def set_gripper(world: World, side: str, share: float) -> None:
    joint = world.scene.model.joint(f'gripper_{side}')
    world.scene.data.qpos[joint.qposadr[0]] = share * FINGER_STROKE_M


def put_in(world: World, name: str) -> None:
    goal = world.label()[3:6].astype(float)
    world.scene.place(name, goal + np.array([0.0, 0.0, 0.036]))


def put_hand(world: World, side: str, at: np.ndarray) -> None:
    """Say where a hand is, upright, without moving its arm: predicates read the tool centre alone."""
    site = world.scene.model.site(f'tcp_{side}').id
    world.scene.data.site_xpos[site] = at
    world.scene.data.site_xmat[site] = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1.0]]).ravel()


def solve(world: World, ticks: int) -> bool:
    operator = Operator(world, Skill.expert(), 0)
    until = world.tick + ticks
    while world.tick < until and not world.success:
        world.step(operator.act())
    return world.success


@pytest.mark.parametrize('shift', SHIFTS)
def test_the_operator_solves_it(world: World, shift: Shift) -> None:
    for seed in range(300, 305):
        begin(world, seed, shift)
        assert solve(world, round(30 * world.time_limit_s))


def test_it_is_done_only_with_the_named_item_inside_the_lid_closed_and_both_hands_off(
    world: World,
) -> None:
    task = begin(world)
    assert not world.success
    put_in(world, task.other.name)
    assert not world.success  # the wrong item
    task = begin(world)
    put_in(world, task.target.name)
    assert world.success
    set_lid(world, 0.05)
    assert not world.success  # half open
    set_lid(world, 0.0)
    assert world.success
    world.scene.place(task.target.name, world.label()[3:6] + np.array([0.0, 0.0, 0.14]))
    assert not world.success  # on the lid
    put_in(world, task.target.name)
    world.scene.data.qvel[world.scene.item(task.target.name).qvel] = 1.0
    assert not world.success  # it still moves
    world.scene.data.qvel[:] = 0.0
    put_hand(world, task.lid_side, world.label()[6:9].astype(float))
    set_gripper(world, task.lid_side, 1.0)
    assert not world.success  # a hand still holds the knob
    set_gripper(world, task.lid_side, 0.0)
    assert world.success


def test_the_stages_follow_the_lid_the_hand_and_the_item(world: World) -> None:
    task = begin(world)
    assert task.stages_done(world.scene) == 0
    set_lid(world, 0.5 * LID_TRAVEL)
    assert task.stages_done(world.scene) == 0
    set_lid(world, LID_TRAVEL)
    assert task.stages_done(world.scene) == 1
    put_hand(world, task.side, world.scene.position(task.target.name))
    assert task.stages_done(world.scene) == 1  # around it, not closed
    set_gripper(world, task.side, 0.6)
    assert task.held(world.scene)
    assert task.stages_done(world.scene) == 2
    put_in(world, task.target.name)
    assert task.stages_done(world.scene) == 3
    set_lid(world, 0.0)
    assert task.stages_done(world.scene) == 4


def test_the_lid_stays_where_it_is_left(world: World) -> None:
    begin(world)
    set_lid(world, 0.06)
    for _ in range(30):
        world.step(world.profile.home)
    assert world.scene.slide('freezer_lid') == pytest.approx(0.06, abs=0.002)


def test_item_opening_and_knob_stand_in_this_order_on_either_side(world: World) -> None:
    sides = set()
    for seed in range(10):
        task = begin(world, seed)
        sides.add(task.side)
        sign = 1.0 if task.side == 'l' else -1.0
        label = dict(zip(world.label_names, world.label(), strict=True))
        assert sign * label['item.y'] > sign * label['goal.y'] > sign * label['knob.y']
        knob = world.scene.data.geom('freezer_knob').xpos
        assert label['knob.y'] == pytest.approx(knob[1], abs=1e-6)
    assert sides == {'l', 'r'}


def test_a_wrong_item_in_the_hand_is_put_back(world: World) -> None:
    task = begin(world, 5)
    mistaken = Operator(world, Skill(wrong_item=1.0), 0)
    while not task.holds_wrong(world.scene):
        world.step(mistaken.act())
        assert world.tick < 200
    assert solve(world, 300)
    assert not task.inside(world.scene, task.other.name)


def test_a_full_freezer_is_given_up(world: World) -> None:
    task = begin(world)
    assert not task.lost(world.scene)
    put_in(world, task.other.name)
    assert task.lost(world.scene)
