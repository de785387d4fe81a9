"""The operator moves within the robot's limits, resumes anywhere, and helps neither too early nor too late."""

from __future__ import annotations

import numpy as np
import pytest
from lwd_policy_node.profile import RobotProfile
from lwd_sim.operator import Operator, Patience, Skill, TakeoverMonitor
from lwd_sim.tasks import TASKS
from lwd_sim.world import World


@pytest.mark.parametrize('skill', [Skill.expert(), Skill.noisy(), Skill.play()])
def test_targets_keep_within_the_profiles_limits(
    world: World, profile: RobotProfile, skill: Skill
) -> None:
    world.reset('restock', 2)
    operator = Operator(world, skill, 2)
    targets = [world.profile.home]
    for _ in range(150):
        targets.append(operator.act())
        world.step(targets[-1])
    period = profile.control_period_s
    position = np.array(targets)
    velocity = np.diff(position, axis=0) / period
    acceleration = np.diff(velocity, axis=0) / period
    assert (np.abs(velocity).max(axis=0) <= profile.limits('velocity') + 1e-9).all()
    assert (np.abs(acceleration).max(axis=0) <= profile.limits('acceleration') + 1e-6).all()
    assert (position >= profile.limits('lower') - 1e-9).all()
    assert (position <= profile.limits('upper') + 1e-9).all()


@pytest.mark.parametrize('task', sorted(TASKS))
def test_it_resumes_from_any_state(world: World, task: str) -> None:
    world.reset(task, 4)
    rng = np.random.default_rng(0)
    for until in (15, 40, 60):
        careless = Operator(world, Skill.expert(), 0)
        while world.tick < until:
            world.step(careless.act())
        target = world.scene.data.ctrl[:16].copy()
        for _ in range(10):  # somebody else moves the arms a little
            target[:14] += rng.normal(size=14) * 0.01
            world.step(target)
    operator = Operator(world, Skill.expert(), 0)
    while not world.success:
        world.step(operator.act())
        assert world.tick < world.time_limit_s * 30 + 60


def test_a_fallen_item_is_picked_up(world: World) -> None:
    world.reset('restock', 7)
    target = world.task.target  # type: ignore[attr-defined]
    at = world.scene.item(target.name)
    world.scene.data.qpos[at.qpos + 2] -= target.half_height - target.half_width
    world.scene.data.qpos[at.qpos + 3 : at.qpos + 7] = [np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0]
    operator = Operator(world, Skill.expert(), 0)
    while not world.success:
        world.step(operator.act())
        assert world.tick < 240


def takeover(
    world: World, monitor: TakeoverMonitor, action: np.ndarray | None, seconds: float
) -> str | None:
    """Let somebody act (None: the expert) until the monitor speaks."""
    operator = Operator(world, Skill.expert(), 0)
    for _ in range(round(seconds * 30)):
        reason = monitor.update(world.tick / 30)
        if reason:
            return reason
        world.step(operator.act() if action is None else action)
    return None


def test_it_takes_over_from_a_stalled_policy_and_hands_back(
    world: World, profile: RobotProfile
) -> None:
    world.reset('restock', 5)
    monitor = TakeoverMonitor(world, Patience(first_s=1.0, later_s=0.5, stages=2))
    assert takeover(world, monitor, profile.home, 0.9) is None
    assert takeover(world, monitor, profile.home, 0.2) == 'stall'
    operator = Operator(world, Skill.expert(), 0)
    while monitor.update(world.tick / 30):
        world.step(operator.act())
        assert world.tick < 200
    assert world.progress >= 0.5
    assert not world.success


def test_it_leaves_a_policy_alone_that_makes_progress(world: World) -> None:
    world.reset('restock', 5)
    monitor = TakeoverMonitor(world, Patience(first_s=1.0))
    assert takeover(world, monitor, None, 3.0) is None
    assert world.success


def test_it_takes_over_when_the_item_is_dropped(world: World) -> None:
    world.reset('restock', 5)
    monitor = TakeoverMonitor(world, Patience(first_s=30.0))
    operator = Operator(world, Skill.expert(), 0)
    while operator.stage != 'carry':
        world.step(operator.act())
        assert monitor.update(world.tick / 30) is None
    opened = world.scene.data.ctrl[:16].copy()
    opened[14:16] = 0.0
    assert takeover(world, monitor, opened, 1.0) == 'drop'


def test_it_takes_over_when_the_wrong_item_is_lifted(world: World) -> None:
    world.reset('restock', 5)
    monitor = TakeoverMonitor(world, Patience(first_s=30.0))
    mistaken = Operator(world, Skill(wrong_item=1.0), 0)
    reason = None
    while reason is None:
        world.step(mistaken.act())
        reason = monitor.update(world.tick / 30)
        assert world.tick < 150
    assert reason == 'operator'


def test_it_takes_over_when_a_hand_presses_on_the_table(world: World) -> None:
    world.reset('restock', 5)
    monitor = TakeoverMonitor(world, Patience(first_s=30.0))
    operator = Operator(world, Skill.expert(), 0)
    while operator.stage != 'grasp':
        world.step(operator.act())
    world.scene.data.site_xpos[world.scene.model.site('tcp_l').id] = [0.9, 0.1, 0.83]
    assert monitor.update(world.tick / 30) == 'safety'
