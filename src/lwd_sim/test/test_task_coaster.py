"""The example of docs/adding_a_task.md: it is solved, and its predicates hold when and only when they should."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from lwd_sim.operator import Operator, Skill
from lwd_sim.robot.shapes import FINGER_STROKE_M
from lwd_sim.tasks import SHIFTS, TASKS, Shift
from lwd_sim.world import World

EXAMPLE = Path(__file__).parents[3] / 'docs' / 'examples' / 'coaster.py'


@pytest.fixture(scope='module')
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location('coaster', EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def registered(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the line in ``lwd_sim/tasks/__init__.py`` does."""
    monkeypatch.setitem(TASKS, 'coaster', example.Coaster)


@pytest.mark.parametrize('shift', SHIFTS)
def test_the_operator_solves_it(world: World, shift: Shift) -> None:
    for seed in range(5):
        world.reset('coaster', seed, shift)
        operator = Operator(world, Skill.expert(), seed)
        while not world.success:
            world.step(operator.act())
            assert world.tick < world.time_limit_s * 30


def test_it_is_done_with_the_mug_on_the_coaster_let_go_and_at_rest(
    world: World, example: ModuleType
) -> None:
    world.reset('coaster', 0)
    scene, mug = world.scene, example.MUG
    standing = world.label()[3:6] + np.array([0, 0, example.COASTER_TOP + mug.half_height + 0.001])
    assert world.progress == 0.0

    scene.place('mug', standing)
    assert world.success
    for wrong in ([0.0, 0.0, 0.05], [0.06, 0.0, 0.0], [0.0, -0.06, -example.COASTER_TOP]):
        scene.place('mug', standing + wrong)
        assert not world.success

    scene.place('mug', standing)
    gripper = scene.model.joint('gripper_l').qposadr[0]
    scene.data.qpos[gripper] = FINGER_STROKE_M - mug.half_width
    assert not world.success  # not let go
    scene.data.qpos[gripper] = 0.0
    scene.data.qvel[scene.item('mug').qvel] = 1.0
    assert not world.success  # still moving


def test_the_stages_count_up_in_the_hand(world: World, example: ModuleType) -> None:
    world.reset('coaster', 0)
    scene = world.scene
    scene.place('mug', scene.tcp('l'))
    scene.data.qpos[scene.model.joint('gripper_l').qposadr[0]] = (
        FINGER_STROKE_M - example.MUG.half_width
    )
    assert world.progress == pytest.approx(1 / 3)
    goal = world.label()[3:6].astype(float) + np.array([0.0, 0.0, 0.1])
    scene.data.site_xpos[scene.model.site('tcp_l').id] = goal  # as if the hand were there
    scene.place('mug', goal)
    assert world.progress == pytest.approx(2 / 3)
