"""Cooler: the door, the item, the hand: each stage counts when and only when it should."""

from __future__ import annotations

import numpy as np
import pytest
from lwd_sim.operator import Operator, Skill
from lwd_sim.robot.shapes import FINGER_STROKE_M
from lwd_sim.tasks import SHIFTS, Shift
from lwd_sim.tasks.cooler import Cooler
from lwd_sim.world import World


def begin(world: World, seed: int = 3, shift: Shift = 'trained') -> Cooler:
    world.reset('cooler', seed, shift)
    task = world.task
    assert isinstance(task, Cooler)
    return task


def set_door(world: World, task: Cooler, angle: float) -> None:
    joint = world.scene.model.joint(f'cooler_{task.side}_door')
    world.scene.data.qpos[joint.qposadr[0]] = angle


def hold(world: World, task: Cooler) -> None:
    """Say that the hand is around the named item, closed; predicates read the tool centre and the gap alone."""
    site = world.scene.model.site(f'tcp_{task.side}').id
    world.scene.data.site_xpos[site] = world.scene.position(task.target.name)
    world.scene.data.site_xmat[site] = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1.0]]).ravel()
    joint = world.scene.model.joint(f'gripper_{task.side}')
    world.scene.data.qpos[joint.qposadr[0]] = FINGER_STROKE_M + 0.002 - task.target.half_width


def let_go(world: World, task: Cooler) -> None:
    joint = world.scene.model.joint(f'gripper_{task.side}')
    world.scene.data.qpos[joint.qposadr[0]] = 0.0


def put(world: World, name: str, offset: tuple[float, float, float]) -> None:
    """Put an item so far from the mat's middle, m."""
    world.scene.place(name, world.label()[3:6].astype(float) + np.array(offset))


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


def test_it_is_done_only_with_the_named_item_on_the_mat_let_go_and_at_rest(world: World) -> None:
    task = begin(world)
    standing = task.target.half_height + 0.001
    assert not world.success
    put(world, task.other.name, (0.0, 0.0, standing))
    assert not world.success  # the wrong item
    task = begin(world)
    put(world, task.target.name, (0.0, 0.0, standing))
    assert world.success
    put(world, task.target.name, (0.0, 0.07, standing))
    assert not world.success  # beside the mat
    put(world, task.target.name, (0.0, 0.0, standing + 0.05))
    assert not world.success  # above it
    put(world, task.target.name, (0.0, 0.0, standing))
    hold(world, task)
    assert not world.success  # still in the hand
    let_go(world, task)
    assert world.success
    world.scene.data.qvel[world.scene.item(task.target.name).qvel] = 0.3
    assert not world.success  # it still moves


def test_the_stages_follow_the_door_the_hand_and_the_item(world: World) -> None:
    task = begin(world)
    assert task.stages_done(world.scene) == 0
    set_door(world, task, 0.6)
    assert task.stages_done(world.scene) == 0
    set_door(world, task, 1.4)
    assert task.stages_done(world.scene) == 1
    hold(world, task)
    assert task.stages_done(world.scene) == 2
    put(world, task.target.name, (0.0, 0.0, 0.15))
    hold(world, task)
    assert task.stages_done(world.scene) == 3
    put(world, task.target.name, (0.0, 0.0, task.target.half_height))
    let_go(world, task)
    assert task.stages_done(world.scene) == 4


def test_the_handle_is_where_the_door_says_and_the_door_stays(world: World) -> None:
    sides = set()
    for seed in range(8):
        task = begin(world, seed)
        sides.add(task.side)
        set_door(world, task, 0.2 * seed)
        for _ in range(5):
            world.step(world.profile.home)
        assert world.scene.slide(f'cooler_{task.side}_door') == pytest.approx(0.2 * seed, abs=0.01)
        bar = world.scene.data.geom(f'cooler_{task.side}_handle').xpos
        np.testing.assert_allclose(world.label()[6:8], bar[:2], atol=1e-5)
    assert sides == {'l', 'r'}


def test_both_items_stand_behind_the_closed_door(world: World) -> None:
    for seed in range(8):
        task = begin(world, seed, 'shift')
        front = world.scene.data.geom(f'cooler_{task.side}_door').xpos
        for kind in (task.target, task.other):
            x, y, _ = world.scene.position(kind.name)
            assert x > front[0] + 0.03 and abs(y - front[1]) < 0.1
        assert world.scene.slide(f'cooler_{task.side}_door') == 0.0


def test_a_wrong_item_in_the_hand_is_stood_aside(world: World) -> None:
    task = begin(world, 5)
    mistaken = Operator(world, Skill(wrong_item=1.0), 0)
    while not task.holds_wrong(world.scene):
        world.step(mistaken.act())
        assert world.tick < 250
    assert solve(world, 400)
    assert not task.on_mat(world.scene, task.other)


def test_an_item_that_fell_over_inside_is_taken_out(world: World) -> None:
    task = begin(world, 7)
    at = world.scene.item(task.target.name)
    world.scene.data.qpos[at.qpos + 2] -= task.target.half_height - task.target.half_width
    world.scene.data.qpos[at.qpos + 3 : at.qpos + 7] = [np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0]
    assert solve(world, 500)
