"""Correct: the operator solves it, and each stage is done when and only when it should be (hand-made states)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from lwd_sim.operator import Operator, Skill
from lwd_sim.robot.shapes import FINGER_STROKE_M
from lwd_sim.tasks import SHIFTS, Shift
from lwd_sim.tasks.correct import Correct
from lwd_sim.tasks.tabletop import ItemKind
from lwd_sim.world import World


@pytest.fixture
def task(world: World) -> Correct:
    """A scene, its robot at home, and the task in it."""
    world.reset('correct', 3)
    assert isinstance(world.task, Correct)
    return world.task


def put(world: World, kind: ItemKind, floor: np.ndarray) -> None:
    """Stand an item on a floor (3,) m."""
    world.scene.place(kind.name, floor + np.array([0, 0, kind.half_height + 0.006]))


def hold(world: World, side: str, kind: ItemKind) -> None:
    """Bring an item between the pads of a hand at home and close them on it."""
    world.scene.place(kind.name, world.scene.tcp(side))
    grip(world, side, kind)


def grip(world: World, side: str, kind: ItemKind) -> None:
    travel = FINGER_STROKE_M + 0.002 - kind.half_width
    world.scene.data.qpos[world.scene.model.joint(f'gripper_{side}').qposadr[0]] = travel


@pytest.mark.parametrize('shift', SHIFTS)
def test_the_operator_swaps_the_items_without_a_retry(world: World, shift: Shift) -> None:
    scores = []
    for seed in range(5):
        world.reset('correct', seed, shift)
        operator = Operator(world, Skill.expert(), seed)
        while not world.success:
            world.step(operator.act())
            assert world.tick < math.ceil(world.time_limit_s * 30)
        scores.append(world.score)
    assert scores == [1.0] * 5


def test_the_stages_count_up_as_the_items_change_places(world: World, task: Correct) -> None:
    corner, scene = task.corner, world.scene
    assert task.stages_done(scene) == 0
    hold(world, corner.side, corner.wrong)
    assert task.stages_done(scene) == 1
    world.reset('correct', 3)
    put(world, corner.wrong, corner.returns)
    assert task.stages_done(scene) == 2
    hold(world, corner.side, corner.right)
    assert task.stages_done(scene) == 3
    world.reset('correct', 3)
    put(world, corner.wrong, corner.returns)
    put(world, corner.right, corner.tray)
    assert task.stages_done(scene) == 4
    assert world.success


def test_the_right_item_counts_only_once_the_wrong_one_is_out(world: World, task: Correct) -> None:
    corner = task.corner
    put(world, corner.right, corner.tray)
    put(world, corner.wrong, np.array([0.9, corner.tray[1] / 3, corner.tray[2]]))
    assert task.stages_done(world.scene) == 0
    hold(world, corner.side, corner.right)
    assert task.stages_done(world.scene) == 0


def test_nothing_counts_in_another_place(world: World, task: Correct) -> None:
    corner, scene = task.corner, world.scene
    mirror, above = np.array([1, -1, 1]), np.array([0, 0, 0.15])
    put(world, corner.wrong, corner.returns)
    for elsewhere in (corner.tray * mirror, corner.tray + above, corner.returns):
        put(world, corner.right, elsewhere)
        assert task.stages_done(scene) == 2
    put(world, corner.right, corner.tray)
    for elsewhere in (corner.returns * mirror, corner.tray):
        put(world, corner.wrong, elsewhere)
        assert task.stages_done(scene) == 0
    put(world, corner.wrong, corner.returns + above)
    assert task.stages_done(scene) == 1  # let go of, and still falling


def test_the_items_of_the_other_side_do_not_count(world: World, task: Correct) -> None:
    corner = task.corner
    other = task.corners['r' if corner.side == 'l' else 'l']
    put(world, other.wrong, corner.returns)
    put(world, other.right, corner.tray)
    assert not world.success
    put(world, other.wrong, other.returns)
    put(world, other.right, other.tray)
    assert not world.success


def test_success_needs_an_open_hand_and_items_at_rest(world: World, task: Correct) -> None:
    corner, scene = task.corner, world.scene
    put(world, corner.wrong, corner.returns)
    put(world, corner.right, corner.tray)
    grip(world, corner.side, corner.right)
    assert task.stages_done(scene) == 3
    scene.data.qpos[scene.model.joint(f'gripper_{corner.side}').qposadr[0]] = 0.0
    assert task.stages_done(scene) == 4
    for kind in (corner.wrong, corner.right):
        scene.data.qvel[scene.item(kind.name).qvel] = 1.0
        assert task.stages_done(scene) == 3
        scene.data.qvel[scene.item(kind.name).qvel] = 0.0


def test_either_item_off_the_table_is_lost(world: World, task: Correct) -> None:
    for kind in (task.corner.wrong, task.corner.right):
        world.reset('correct', 3)
        assert not task.lost(world.scene)
        world.scene.place(kind.name, np.array([0.6, 0.0, 0.05]))
        assert task.lost(world.scene)


def test_letting_go_over_its_place_is_not_a_drop(world: World, task: Correct) -> None:
    corner, scene = task.corner, world.scene
    operator = Operator(world, Skill.expert(), 0)
    releases = 0
    while not world.success:
        before = task.held(scene)
        world.step(operator.act())
        if before and not task.held(scene):
            assert not task.dropped(scene)
            releases += 1
    assert releases == 2
    between = (corner.tray + corner.returns) / 2
    scene.data.site_xpos[scene.model.site(f'tcp_{corner.side}').id] = between
    put(world, corner.right, between)
    assert task.dropped(scene)


def test_both_sides_and_every_item_are_asked_for(world: World) -> None:
    asked = set()
    for seed in range(80):
        world.reset('correct', seed)
        task = world.task
        assert isinstance(task, Correct)
        assert task.target.words in world.instruction
        assert task.corner.wrong.words in world.instruction
        assert {'l': 'left', 'r': 'right'}[task.side] in world.instruction
        asked.add((task.side, task.target.name))
    assert len(asked) == 8


def test_the_side_that_was_not_meant_is_the_wrong_one(world: World, task: Correct) -> None:
    operator = Operator(world, Skill(wrong_item=1.0), 0)
    while not task.holds_wrong(world.scene):
        world.step(operator.act())
        assert world.tick < 150
    assert task.stages_done(world.scene) == 0
