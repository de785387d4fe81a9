"""The leader arm's core: who may take over, from where, and why not."""

from __future__ import annotations

import numpy as np
import pytest
from lwd_policy_node.profile import load_profile
from lwd_policy_node.teleop import SourceError
from lwd_policy_node.teleop.leader import Leader, LeaderConfig
from lwd_policy_node.teleop.robot_view import RobotView, Vector

PROFILE = load_profile('g1_laptop')
NAMES = list(PROFILE.joint_names)
HOME = PROFILE.home


def off(**joints: float) -> Vector:
    """The home pose with some joints elsewhere, by index: `j3=0.2`."""
    pose = HOME.copy()
    for name, value in joints.items():
        pose[int(name[1:])] += value
    return pose


def hears(position: Vector, *, config: LeaderConfig | None = None) -> Leader:
    leader = Leader(PROFILE, config)
    leader.on_joints(NAMES, position, 0.0)
    return leader


# leader's pose, deadman, target in force, age of the leader's message, in control?, what is said
CASES = {
    'in the pose': (HOME, True, HOME, 0.0, True, ''),
    'within the tolerance': (off(j0=0.14, j8=-0.14), True, HOME, 0.0, True, ''),
    'deadman released': (HOME, False, HOME, 0.0, False, ''),
    'no target in force': (HOME, True, None, 0.0, False, 'no joint_command'),
    'silent': (HOME, True, HOME, 0.21, False, 'the leader is silent for more than 0.2 s'),
    'one joint off': (
        off(j1=0.2), True, HOME, 0.0, False,
        "the leader is not in the robot's pose: off idx22_arm_l_joint2 by +0.20 (tolerance 0.15)",
    ),
    'worst first': (
        off(j1=0.2, j2=-0.9, j3=0.3, j4=0.4), True, HOME, 0.0, False,
        "the leader is not in the robot's pose: off idx23_arm_l_joint3 by -0.90 (tolerance 0.15), "
        'idx25_arm_l_joint5 by +0.40 (tolerance 0.15), idx24_arm_l_joint4 by +0.30 (tolerance 0.15) and 1 more',
    ),
    'an open hand where the robot holds something': (
        HOME, True, off(j15=0.8), 0.0, False,
        "the leader is not in the robot's pose: off gripper_r by -0.80 (tolerance 0.30)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ('pose', 'deadman', 'target', 'age_s', 'control', 'said'), CASES.values(), ids=CASES.keys()
)
@pytest.mark.parametrize('human', [False, True])
def test_takeover(
    pose: Vector,
    deadman: bool,
    target: Vector | None,
    age_s: float,
    control: bool,
    said: str,
    human: bool,
) -> None:
    """Whatever the arbiter says of others; and it starts exactly at the targets in force."""
    leader = hears(pose)
    answer = leader.update(deadman, RobotView(target, human), age_s)
    assert (answer is not None) == control
    assert leader.refusal.startswith(said) and bool(leader.refusal) == bool(said)
    if answer is not None and target is not None:
        assert np.abs(answer - target).max() <= 0.15 / 30 + 1e-9  # one tick of settling


def test_it_settles_on_the_leader_and_then_follows_it() -> None:
    """What was off at the takeover goes in equal steps; then the robot does what the leader does."""
    leader, target = hears(off(j0=0.12)), HOME
    steps = []
    for _ in range(30):
        answer = leader.update(True, RobotView(target, True), 0.0)
        assert answer is not None
        steps.append(answer[0] - target[0])
        target = answer
    np.testing.assert_allclose(steps, 0.12 / 30)
    leader.on_joints(
        NAMES, off(j0=0.12, j5=-0.5), 0.1
    )  # as fast as the leader is: limits are the arbiter's
    np.testing.assert_allclose(
        leader.update(True, RobotView(target, True), 0.1), off(j0=0.12, j5=-0.5)
    )


@pytest.mark.parametrize('how', ['released', 'silent', 'estop', 'robot was put elsewhere'])
def test_after_a_break_it_must_match_again(how: str) -> None:
    leader = hears(HOME)
    assert leader.update(True, RobotView(HOME, True), 0.0) is not None
    leader.on_joints(NAMES, off(j0=0.8), 0.05)
    assert leader.update(True, RobotView(HOME, True), 0.05) is not None  # in control: it leads
    if how == 'released':
        assert leader.update(False, RobotView(HOME, True), 0.05) is None
    elif how == 'silent':
        assert leader.update(True, RobotView(HOME, True), 1.0) is None
    elif how == 'estop':
        assert leader.update(True, RobotView(HOME, False), 0.05) is None
    else:
        assert leader.update(True, RobotView(off(j0=-0.3), True), 0.05) is None
    leader.on_joints(NAMES, off(j0=0.8), 1.1)
    assert leader.update(True, RobotView(HOME, True), 1.1) is None
    assert 'idx21_arm_l_joint1 by +0.80' in leader.refusal
    leader.on_joints(NAMES, HOME, 1.2)
    np.testing.assert_allclose(leader.update(True, RobotView(HOME, True), 1.2), HOME)


def test_before_the_arbiter_lets_it_it_waits_at_the_targets_in_force() -> None:
    leader = hears(off(j0=0.1))
    for moved in (0.0, 0.02, 0.04):
        in_force = off(j0=moved)
        np.testing.assert_array_equal(
            leader.update(True, RobotView(in_force, False), 0.0), in_force
        )
    answer = leader.update(True, RobotView(in_force, True), 0.0)
    np.testing.assert_allclose(answer, off(j0=0.04 + 0.06 / 30))


def test_signs_offsets_and_joints_that_are_not_led() -> None:
    """A right-hand leader whose first joint turns the other way; the left arm's targets stay."""
    names = tuple(f'r{i}' if 7 <= i < 14 or i == 15 else '' for i in range(16))
    config = LeaderConfig(
        names=names,
        signs=tuple(-1.0 if i == 7 else 1.0 for i in range(16)),
        offsets=tuple(0.5 if i == 7 else 0.0 for i in range(16)),
        settle_s=0.0,
    )
    leader = Leader(PROFILE, config)
    raw = {f'r{i}': HOME[i] for i in range(7, 16) if i != 14}
    raw['r7'] = 0.5 - HOME[7] - 0.1
    leader.on_joints(list(raw)[::-1], np.array(list(raw.values())[::-1]), 0.0)
    in_force = off(j2=0.7)
    np.testing.assert_allclose(
        leader.update(True, RobotView(in_force, True), 0.0), off(j2=0.7, j7=0.1)
    )
    np.testing.assert_allclose(
        leader.update(True, RobotView(HOME, True), 0.0), off(j2=0.7, j7=0.1)
    )  # still those of the takeover


@pytest.mark.parametrize(
    ('names', 'position', 'said'),
    [
        (NAMES[:-1], HOME[:-1], "does not give a position for ['gripper_r']"),
        (NAMES, HOME[:-1], 'does not give a position for'),
        (NAMES, off(j3=np.nan), 'not finite'),
    ],
)
def test_what_cannot_be_used_takes_control_away(
    names: list[str], position: Vector, said: str
) -> None:
    leader = hears(HOME)
    assert leader.update(True, RobotView(HOME, True), 0.0) is not None
    leader.on_joints(names, position, 0.01)
    assert leader.update(True, RobotView(HOME, True), 0.01) is None
    assert said in leader.refusal


@pytest.mark.parametrize(
    ('config', 'said'),
    [
        (
            LeaderConfig(names=('a', 'b')),
            'leader_joint_names has 2 values; the profile has 16 joints',
        ),
        (LeaderConfig(signs=(1.0, -1.0)), 'leader_signs has 2 values'),
        (LeaderConfig(offsets=(1.0,) * 15), 'leader_offsets has 15 values'),
        (LeaderConfig(tolerance=(0.1, 0.2)), 'leader_tolerance has 2 values'),
        (LeaderConfig(names=('',) * 16), 'no joint is led'),
    ],
)
def test_a_wrong_configuration_is_named(config: LeaderConfig, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        Leader(PROFILE, config)


def test_silence_from_the_start_is_said() -> None:
    leader = Leader(PROFILE)
    assert leader.update(True, RobotView(HOME, True), 5.0) is None
    assert leader.refusal.startswith('no leader JointState yet')
