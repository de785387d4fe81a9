"""Cocktail: the operator mixes it, and each predicate holds when and only when it should."""

from __future__ import annotations

import math

import numpy as np
import pytest
from lwd_sim.operator import Operator, Skill
from lwd_sim.robot.shapes import FINGER_GAP_CLOSED_M, FINGER_STROKE_M
from lwd_sim.tasks import SHIFTS, Shift
from lwd_sim.tasks.cocktail import ENOUGH, GIN, GLASS, LIME, MEASURE, STROKES, Cocktail
from lwd_sim.tasks.pouring import grip_point, hand_axes
from lwd_sim.tasks.shaking import HIGH_M, LOW_M, SHAKER, SHAKER_OF
from lwd_sim.world import World


@pytest.mark.parametrize('shift', SHIFTS)
def test_the_operator_mixes_a_cocktail(world: World, shift: Shift) -> None:
    solved = 0
    for seed in range(300, 305):
        world.reset('cocktail', seed, shift)
        operator = Operator(world, Skill.expert(), seed)
        limit = math.ceil(world.time_limit_s * 30)
        while not world.success and world.tick < limit and not operator.gave_up:
            world.step(operator.act())
        solved += world.success
    assert solved >= 4


def start(world: World) -> Cocktail:
    world.reset('cocktail', 3)
    task = world.task
    assert isinstance(task, Cocktail)
    return task


def count_strokes(world: World, strokes: int) -> None:
    world.scene.data.qpos[world.scene.model.joint('strokes').qposadr[0]] = strokes


def test_each_measure_counts_once_it_is_in_the_shaker(world: World) -> None:
    task = start(world)
    scene = world.scene
    assert task.stages_done(scene) == 0
    task.drinks[LIME.name].fill(scene, SHAKER, ENOUGH - 1)
    assert task.stages_done(scene) == 0
    task.drinks[LIME.name].fill(scene, SHAKER)
    assert task.stages_done(scene) == 1
    task.drinks[GIN.name].fill(scene, SHAKER)
    assert task.stages_done(scene) == 2
    assert not task.shaken(scene)


def test_the_drink_counts_only_if_it_was_shaken(world: World) -> None:
    task = start(world)
    scene = world.scene
    for drink in task.drinks.values():
        drink.fill(scene, GLASS)
    assert not world.success  # not shaken
    count_strokes(world, STROKES - 1)
    assert not world.success
    count_strokes(world, STROKES)
    assert task.shaken(scene)
    assert world.success
    assert task.stages_done(scene) == 6
    task.drinks[GIN.name].fill(scene, SHAKER)
    assert not world.success  # lime alone
    assert task.stages_done(scene) == 4


def test_a_shaker_that_nobody_holds_counts_no_strokes(world: World) -> None:
    task = start(world)
    scene = world.scene
    for drink in task.drinks.values():
        drink.fill(scene, SHAKER)
    for height in (0.2, 0.0, 0.2):
        scene.place(
            'shaker', scene.position('shaker') * [1, 1, 0] + np.array([0, 0, 0.84 + height])
        )
        task.after_step(scene)
    assert scene.slide('strokes') == 0.0


def up(height: float) -> np.ndarray:
    return np.array([0.0, 0.0, height])


def close_around_handle(world: World, side: str) -> None:
    """Say that a hand has closed on its handle of the shaker; predicates read tool frame and gap alone."""
    scene, shaker = world.scene, SHAKER_OF[side]
    site = scene.model.site(f'tcp_{side}').id
    scene.data.site_xpos[site] = grip_point(scene, shaker)
    scene.data.site_xmat[site] = hand_axes(side).ravel()
    gripper = scene.model.joint(f'gripper_{side}').qposadr[0]
    scene.data.qpos[gripper] = FINGER_STROKE_M - (shaker.grip_width - FINGER_GAP_CLOSED_M) / 2


def open_hand(world: World, side: str) -> None:
    world.scene.data.qpos[world.scene.model.joint(f'gripper_{side}').qposadr[0]] = 0.0


def test_both_hands_must_hold_the_full_shaker_and_put_it_down_at_the_end(world: World) -> None:
    task = start(world)
    scene = world.scene
    for side in 'lr':
        close_around_handle(world, side)
    assert task.stages_done(scene) == 0  # an empty one
    for drink in task.drinks.values():
        drink.fill(scene, SHAKER)
    assert task.stages_done(scene) == 3
    for side in 'lr':
        open_hand(world, side)
        assert task.stages_done(scene) == 2  # one hand
        close_around_handle(world, side)
    count_strokes(world, STROKES)
    assert task.stages_done(scene) == 4
    for drink in task.drinks.values():
        drink.fill(scene, GLASS)
    assert task.stages_done(scene) == 5  # still in the hands
    open_hand(world, 'l')
    open_hand(world, 'r')
    scene.place('shaker', scene.position('shaker') + up(0.05))
    assert task.stages_done(scene) == 5  # in the air
    scene.place('shaker', scene.position('shaker') - up(0.05))
    assert task.stages_done(scene) == 6
    scene.data.qvel[scene.item('shaker').qvel] = 0.5
    assert task.stages_done(scene) == 5  # it moves


def test_a_stroke_counts_at_either_end_while_both_hands_hold_the_full_shaker(world: World) -> None:
    task = start(world)
    scene = world.scene
    foot = scene.position('shaker')
    for drink in task.drinks.values():
        drink.fill(scene, SHAKER)
    for height, counted in ((0.0, 0), (HIGH_M + 0.01, 1), (HIGH_M + 0.02, 1), (LOW_M - 0.01, 2)):
        lift = foot + up(height) - scene.position('shaker')
        for drink in task.drinks.values():
            for columns in drink.columns(scene):
                scene.data.qpos[columns] += lift
        scene.place('shaker', scene.position('shaker') + lift)
        for side in 'lr':
            close_around_handle(world, side)
        task.after_step(scene)
        assert scene.slide('strokes') == counted


def test_spilt_drink_is_lost(world: World) -> None:
    task = start(world)
    scene = world.scene
    floor = scene.position('glass')[2]
    for i, columns in enumerate(task.drinks[GIN.name].columns(scene)):
        assert task.lost(scene) == (MEASURE - i < ENOUGH)
        scene.data.qpos[columns] = [0.88, -0.3, floor + 0.009]
    assert task.lost(scene)
