"""Glimpses show what a robot can look like: fingers that move together, and items that stay whole."""

from __future__ import annotations

import numpy as np
import pytest
from lwd_policy_node.profile import RobotProfile
from lwd_sim.data import glimpses
from lwd_sim.operator import Operator
from lwd_sim.tasks import TASKS
from lwd_sim.tasks.scene import SIDES
from lwd_sim.world import World

STROKES_M = (0.02, 0.04)  # left and right, half closed


def disturbed(world: World, task: str, seed: int) -> None:
    """One glimpse's scene, from a posture with half-closed hands."""
    world.reset(task, seed)
    posture = world.scene.data.qpos[world.scene.actuator_qpos]
    posture[14:16] = STROKES_M
    glimpses._disturb(world, posture[np.newaxis], np.random.default_rng(seed))


def test_the_fingers_of_a_hand_agree(world: World) -> None:
    disturbed(world, 'restock', 3)
    data = world.scene.data
    for side, stroke_m in zip(SIDES, STROKES_M, strict=True):
        for finger in (f'gripper_{side}', f'gripper_{side}_outer'):
            assert data.joint(finger).qpos[0] == pytest.approx(stroke_m)
        pads = [
            data.geom(name).xpos for name in (f'pad_gripper_{side}', f'pad_gripper_{side}_outer')
        ]
        np.testing.assert_allclose(np.mean(pads, axis=0), world.scene.tcp(side), atol=0.01)


def test_the_halves_of_a_fruit_stay_together(world: World) -> None:
    for seed in range(6):
        world.reset('juice', seed)
        near, far = (world.scene.position(name) for name in ('fruit_near', 'fruit_far'))
        disturbed(world, 'juice', seed)
        now_near, now_far = (world.scene.position(name) for name in ('fruit_near', 'fruit_far'))
        np.testing.assert_allclose(now_far - now_near, far - near, atol=1e-12)


@pytest.mark.parametrize('task', sorted(set(TASKS) - {'shoebox'}))
def test_every_task_that_names_an_item_says_its_bodies(world: World, task: str) -> None:
    disturbed(world, task, 1)
    assert glimpses._from_hands(world).shape == (6,)
    glimpses.refuse_unnamed('g1_laptop', (task,))


def test_postures_leave_out_a_scene_whose_simulation_blows_up(
    profile: RobotProfile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(glimpses, 'POSTURE_SCENES', 2)
    burst = Operator.act

    def act(self: Operator) -> object:
        world = self._world
        if world._built[1] == 50 and world.tick == 30:
            world.scene.data.qvel[:] = 1e11  # more than MuJoCo takes for a speed
        return burst(self)

    whole = glimpses.postures(profile, 'restock', 51)
    monkeypatch.setattr(Operator, 'act', act)
    monkeypatch.setattr(glimpses, 'POSTURE_SCENES', 3)
    np.testing.assert_array_equal(glimpses.postures(profile, 'restock', 50), whole)
    assert 'seed 50' in caplog.text


def test_a_task_that_names_no_item_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'shoebox' names no item"):
        glimpses.collect('g1_laptop', 'shoebox', 1)
