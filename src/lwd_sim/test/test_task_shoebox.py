"""Shoebox: the operator solves it, mends what went wrong, and each stage is done when and only when it should be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from lwd_sim.operator import Operator, Skill
from lwd_sim.robot.shapes import FINGER_STROKE_M
from lwd_sim.tasks import SHIFTS, Shift
from lwd_sim.tasks import shoebox_pieces as pieces
from lwd_sim.tasks.scene import Scene
from lwd_sim.tasks.shoebox import Shoebox
from lwd_sim.world import World


@pytest.fixture
def task(world: World) -> Shoebox:
    """A scene, its robot at home, and the task in it."""
    world.reset('shoebox', 3)
    assert isinstance(world.task, Shoebox)
    return world.task


def in_box(world: World, name: str) -> np.ndarray:
    """Where the body frame of a thing that is packed comes to rest, (3,) m."""
    label = dict(zip(world.label_names, world.label().astype(float), strict=True))
    box = np.array([label[f'box.{axis}'] for axis in 'xyz'])
    ankle = pieces.SHOE_HALF[2]
    on_shoes = pieces.BOX_FLOOR + 2 * ankle + pieces.PAPER_HALF[2]
    x, y = pieces.SHOE_IN_BOX
    offset = {
        'shoe_l': (x, y, pieces.BOX_FLOOR + ankle),
        'shoe_r': (x, -y, pieces.BOX_FLOOR + ankle),
        'paper': (0.0, 0.0, on_shoes),
        'lid': (0.0, 0.0, pieces.BOX_HEIGHT + pieces.LID_HALF_HEIGHT),
    }
    return box + np.array(offset[name])


def pack(world: World, *names: str) -> None:
    for name in names:
        world.scene.place(name, in_box(world, name))


def close_hand(scene: Scene, side: str, gap: float) -> None:
    travel = FINGER_STROKE_M + 0.002 - gap / 2
    scene.data.qpos[scene.model.joint(f'gripper_{side}').qposadr[0]] = travel


def hold(world: World, name: str, side: str, grip: float, width: float) -> None:
    """Bring a thing between the pads of a hand at home, ``grip`` m below the tool centre, and close them on it."""
    world.scene.place(name, world.scene.tcp(side) - np.array([0.0, 0.0, grip]))
    close_hand(world.scene, side, width)


def solve(world: World) -> None:
    """Let the expert go on until it is done."""
    operator = Operator(world, Skill.expert(), 0)
    while not world.success:
        world.step(operator.act())
        assert world.tick < math.ceil(world.time_limit_s * 30)


@pytest.mark.parametrize('shift', SHIFTS)
def test_the_operator_packs_the_box_without_a_retry(world: World, shift: Shift) -> None:
    for seed in range(5):
        world.reset('shoebox', seed, shift)
        solve(world)
        assert world.score == 1.0


def test_the_stages_count_up_as_the_box_fills(world: World, task: Shoebox) -> None:
    scene = world.scene
    assert task.stages_done(scene) == 0
    hold(world, 'shoe_l', 'l', 0.014, 2 * pieces.SHOE_HALF[1])
    assert task.stages_done(scene) == 1
    close_hand(scene, 'l', 0.1)
    assert task.stages_done(scene) == 0
    for names, done in ((('shoe_r',), 2), (('shoe_l',), 3), (('paper',), 4)):
        pack(world, *names)
        assert task.stages_done(scene) == done
    side = 'l' if scene.position('lid')[1] > 0 else 'r'
    hold(world, 'lid', side, 0.03, 2 * pieces.KNOB_RADIUS)
    assert task.stages_done(scene) == 5
    close_hand(scene, side, 0.1)
    assert task.stages_done(scene) == 4
    pack(world, 'lid')
    assert task.stages_done(scene) == 6
    assert world.success


def test_one_stage_needs_the_ones_before(world: World, task: Shoebox) -> None:
    pack(world, 'paper', 'lid')
    assert task.stages_done(world.scene) == 0
    pack(world, 'shoe_l')
    assert task.stages_done(world.scene) == 2
    world.reset('shoebox', 3)
    pack(world, 'shoe_l', 'shoe_r', 'lid')
    assert task.stages_done(world.scene) == 3  # the paper is missing
    assert not world.success


@pytest.mark.parametrize(
    ('name', 'offset', 'done'),
    [
        ('shoe_l', (0.0, 0.08, 0.0), 2),  # beside the box
        ('shoe_l', (0.0, 0.0, 0.12), 2),  # above it
        ('paper', (0.0, 0.12, 0.0), 3),
        ('paper', (0.0, 0.0, -0.045), 3),  # under the shoes
        ('lid', (0.03, 0.0, 0.0), 5),  # askew
        ('lid', (0.0, 0.0, 0.01), 5),  # not down yet
        ('lid', (0.0, 0.2, 0.0), 4),
    ],
)
def test_a_thing_in_another_place_does_not_count(
    world: World, task: Shoebox, name: str, offset: tuple[float, float, float], done: int
) -> None:
    pack(world, 'shoe_l', 'shoe_r', 'paper', 'lid')
    world.scene.place(name, in_box(world, name) + np.array(offset))
    assert task.stages_done(world.scene) == done
    assert not world.success


def test_a_tilted_lid_is_not_on(world: World, task: Shoebox) -> None:
    pack(world, 'shoe_l', 'shoe_r', 'paper', 'lid')
    assert task.lid_on(world.scene)
    at = world.scene.item('lid').qpos
    world.scene.data.qpos[at + 3 : at + 7] = [np.cos(0.05), 0.0, np.sin(0.05), 0.0]
    assert not task.lid_on(world.scene)


def test_success_needs_open_hands_and_things_at_rest(world: World) -> None:
    names = ('shoe_l', 'shoe_r', 'paper', 'lid')
    pack(world, *names)
    scene = world.scene
    for side in 'lr':
        close_hand(scene, side, 0.02)
        assert not world.success
        close_hand(scene, side, 0.1)
        assert world.success
    for name in names:
        scene.data.qvel[scene.item(name).qvel] = 0.5
        assert not world.success
        scene.data.qvel[scene.item(name).qvel] = 0.0


def test_a_packed_box_stays_as_it_is(world: World, task: Shoebox) -> None:
    pack(world, 'shoe_l', 'shoe_r', 'paper', 'lid')
    for _ in range(60):
        world.step(world.profile.home)
    assert world.success


def test_paper_and_lid_that_came_too_early_are_taken_out_again(
    world: World, task: Shoebox
) -> None:
    pack(world, 'shoe_l', 'shoe_r', 'lid')
    solve(world)
    world.reset('shoebox', 3)
    pack(world, 'shoe_l')
    world.scene.place('paper', in_box(world, 'paper'))  # it slides down on one side
    solve(world)


def test_a_lid_that_lies_askew_is_put_right(world: World, task: Shoebox) -> None:
    pack(world, 'shoe_l', 'shoe_r', 'paper')
    world.scene.place('lid', in_box(world, 'lid') + np.array([0.03, 0.0, 0.008]), 0.2)
    solve(world)


def test_a_fallen_shoe_is_packed_too(world: World, task: Shoebox) -> None:
    at = world.scene.item('shoe_r').qpos
    world.scene.data.qpos[at + 2] -= pieces.SHOE_HALF[2] - pieces.SHOE_HALF[1]
    world.scene.data.qpos[at + 3 : at + 7] = [np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0]
    solve(world)


def test_somebody_who_forgets_the_paper_closes_the_box_and_is_noticed(
    world: World, task: Shoebox
) -> None:
    operator = Operator(world, Skill(wrong_item=1.0), 0)
    noticed = False
    while not operator.gave_up:
        world.step(operator.act())
        noticed |= task.holds_wrong(world.scene)
        assert world.tick < world.time_limit_s * 30
    assert noticed
    assert task.lid_on(world.scene)
    assert task.stages_done(world.scene) == 3


def test_things_off_the_table_or_upside_down_are_lost(world: World, task: Shoebox) -> None:
    for name in ('shoe_l', 'shoe_r', 'paper', 'lid'):
        world.reset('shoebox', 3)
        assert not task.lost(world.scene)
        world.scene.place(name, np.array([0.6, 0.0, 0.05]))
        assert task.lost(world.scene)
    world.reset('shoebox', 3)
    at = world.scene.item('lid').qpos
    world.scene.data.qpos[at + 3 : at + 7] = [0.0, 1.0, 0.0, 0.0]
    assert task.lost(world.scene)
