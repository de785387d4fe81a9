"""The jog core: where the hands go, from what they start, and when the human is not in control."""

from __future__ import annotations

import numpy as np
import pytest
from lwd_policy_node.control import Arbiter, ArbiterConfig, Source, Teleop
from lwd_policy_node.kinematics import TOOLS, Chain, rotation_vector
from lwd_policy_node.profile import load_profile
from lwd_policy_node.teleop.jog import Jog, JogSpeeds, JogWish
from lwd_policy_node.teleop.robot_view import RobotView, Vector

PROFILE = load_profile('g1_laptop')
DT = PROFILE.control_period_s
WAIST = np.array([0.42, 0.8727])
SPEEDS = JogSpeeds()


def hand(target: Vector, side: str) -> tuple[Vector, Vector]:
    """Place and axes of a tool in the robot's base, from the arm's targets."""
    pose = Chain(TOOLS[side]).pose(
        np.concatenate([WAIST, target[{'l': slice(0, 7), 'r': slice(7, 14)}[side]]])
    )
    return pose.position, pose.rotation


def robot(target: Vector, *, human: bool = True) -> RobotView:
    return RobotView(target=target, human=human, waist=WAIST)


def run(jog: Jog, wish: JogWish, target: Vector, ticks: int) -> list[Vector]:
    """An obedient arbiter: what is asked for is in force at the next tick."""
    targets = [target]
    for _ in range(ticks):
        answer = jog.update(wish, robot(targets[-1]))
        assert answer is not None
        targets.append(answer)
    return targets


@pytest.mark.parametrize('side', 'lr')
@pytest.mark.parametrize('axis', range(3))
@pytest.mark.parametrize('sign', [-1.0, 1.0])
def test_a_hand_goes_along_the_bases_axes(side: str, axis: int, sign: float) -> None:
    """A second of half the stick: the hand moves by speed times time along that axis and does not turn; the other
    arm and the grippers stay; no joint is faster than allowed.
    """
    wish = JogWish(linear=sign * 0.5 * np.eye(3)[axis], sides=(side,))
    start = PROFILE.home
    targets = run(Jog(PROFILE), wish, start, 30)
    place, axes = hand(start, side)
    place_now, axes_now = hand(targets[-1], side)
    moved = sign * np.eye(3)[axis] * SPEEDS.linear_m_s * 15 * DT
    assert np.linalg.norm(place_now - place - moved) < 0.006
    assert np.linalg.norm(rotation_vector(axes_now @ axes.T)) < 0.05
    other = slice(7, 16) if side == 'l' else [*range(7), 14, 15]
    np.testing.assert_array_equal(targets[-1][other], start[other])
    rates = np.abs(np.diff(targets, axis=0)) / DT
    assert rates.max() <= SPEEDS.joint_rad_s + 1e-9


@pytest.mark.parametrize('axis', range(3))
def test_a_hand_turns_about_the_bases_axes_on_the_spot(axis: int) -> None:
    """Yaw, pitch and roll about the tool centre."""
    target = PROFILE.home
    targets = run(Jog(PROFILE), JogWish(angular=-0.5 * np.eye(3)[axis], sides=('r',)), target, 15)
    place, axes = hand(target, 'r')
    place_now, axes_now = hand(targets[-1], 'r')
    turned = rotation_vector(axes_now @ axes.T)
    np.testing.assert_allclose(
        turned, -0.5 * np.eye(3)[axis] * SPEEDS.angular_rad_s * 15 * DT, atol=0.05
    )
    assert np.linalg.norm(place_now - place) < 0.006


def test_both_hands_and_their_grippers_move_alike() -> None:
    wish = JogWish(linear=np.array([0.0, 0.0, 1.0]), gripper=1.0)
    targets = run(Jog(PROFILE), wish, PROFILE.home, 9)
    for side in 'lr':
        risen = hand(targets[-1], side)[0] - hand(PROFILE.home, side)[0]
        np.testing.assert_allclose(risen, [0.0, 0.0, SPEEDS.linear_m_s * 9 * DT], atol=0.006)
    np.testing.assert_allclose(targets[-1][14:], SPEEDS.gripper_per_s * 9 * DT)
    closed = run(Jog(PROFILE), wish, targets[-1], 60)[-1]
    np.testing.assert_array_equal(closed[14:], 1.0)


def test_it_starts_from_the_targets_in_force_and_stays_there_untouched() -> None:
    """Bumpless: with the sticks at rest the targets in force come back bit by bit."""
    in_force = PROFILE.home + 0.01 * np.random.default_rng(0).normal(size=16)
    jog = Jog(PROFILE)
    for _ in range(5):
        np.testing.assert_array_equal(jog.update(JogWish(), robot(in_force)), in_force)


def test_until_the_arbiter_lets_it_it_follows_the_targets_in_force() -> None:
    """E-stop, stale robot, or a takeover under way: a stick that is pushed meanwhile stores up no motion."""
    jog = Jog(PROFILE)
    push = JogWish(linear=np.array([1.0, 0.0, 0.0]), sides=('r',))
    in_force = PROFILE.home.copy()
    for _ in range(30):
        in_force = in_force + 0.001  # the policy still moves it
        np.testing.assert_array_equal(jog.update(push, robot(in_force, human=False)), in_force)
    first = jog.update(push, robot(in_force))
    assert first is not None
    assert np.abs(first - in_force).max() <= SPEEDS.joint_rad_s * DT + 1e-9


@pytest.mark.parametrize(
    ('wish', 'view', 'why'),
    [
        (None, RobotView(PROFILE.home, True, WAIST), ''),
        (JogWish(), RobotView(None, False, WAIST), 'no joint_command: is arbiter_node running'),
        (
            JogWish(),
            RobotView(PROFILE.home, False, None),
            'joint_states without idx01_body_joint1',
        ),
        (
            JogWish(),
            RobotView(PROFILE.home, True, np.array([0.42, np.nan])),
            'joint_states gives nan for idx02_body_joint2',
        ),
        (
            JogWish(),
            RobotView(PROFILE.home, True, np.array([-np.inf, 0.87])),
            'joint_states gives -inf for idx01_body_joint1',
        ),
    ],
)
def test_when_the_human_is_not_in_control(wish: JogWish | None, view: RobotView, why: str) -> None:
    """At once, also in the middle of a spell, and with a reason where something is amiss."""
    jog = Jog(PROFILE)
    assert jog.update(JogWish(), robot(PROFILE.home)) is not None
    assert jog.update(wish, view) is None
    assert jog.refusal.startswith(why) and bool(jog.refusal) == bool(why)


def test_a_spell_starts_from_new_targets() -> None:
    """What moved between two spells is not undone."""
    jog = Jog(PROFILE)
    run(jog, JogWish(linear=np.array([0.0, 0.0, 1.0])), PROFILE.home, 10)
    jog.update(None, robot(PROFILE.home))
    np.testing.assert_array_equal(jog.update(JogWish(), robot(PROFILE.home)), PROFILE.home)


def test_a_robot_that_was_put_elsewhere_is_not_driven_back() -> None:
    """A new scene while the deadman is held: it starts again from the targets in force."""
    jog = Jog(PROFILE)
    run(jog, JogWish(linear=np.array([0.0, 0.0, 1.0])), PROFILE.home, 10)
    elsewhere = PROFILE.home + np.eye(16)[3]
    np.testing.assert_array_equal(jog.update(JogWish(), robot(elsewhere)), elsewhere)


@pytest.mark.parametrize('seed', range(6))
def test_a_hand_pushed_out_of_reach_stays_in_limits_and_comes_back_at_once(seed: int) -> None:
    """Five seconds against the end of reach, then the other way: it answers within a few ticks, with no run-up."""
    direction = np.random.default_rng(seed).normal(size=3)
    direction /= np.linalg.norm(direction)
    jog = Jog(PROFILE)
    targets = run(jog, JogWish(linear=direction, sides=('l',)), PROFILE.home, 240)
    lower, upper = PROFILE.limits('lower'), PROFILE.limits('upper')
    assert ((targets >= lower) & (targets <= upper)).all()
    assert (np.abs(np.diff(targets, axis=0)) / DT).max() <= max(
        SPEEDS.joint_rad_s, SPEEDS.gripper_per_s
    ) + 1e-9
    back = run(jog, JogWish(linear=-direction, sides=('l',)), targets[-1], 20)
    progress = (hand(back[0], 'l')[0] - hand(back[-1], 'l')[0]) @ direction
    assert progress > 0.3 * SPEEDS.linear_m_s * 20 * DT


class Slow:
    """A real arbiter that lets the robot be only so fast, and a robot that follows it at once."""

    def __init__(self, velocity_scale: float) -> None:
        self.arbiter = Arbiter(PROFILE, ArbiterConfig(velocity_scale=velocity_scale))
        self.jog = Jog(PROFILE)
        self.in_force: list[Vector] = [PROFILE.home]
        self.ahead = np.zeros(16)  # furthest that the commands were beyond the targets in force
        self._human = False

    def push(self, wish: JogWish, seconds: float) -> list[Vector]:
        """Hold the deadman and push; the targets in force meanwhile."""
        begin = len(self.in_force)
        for _ in range(round(seconds / DT)):
            now_s = 10.0 + len(self.in_force) * DT
            in_force = self.in_force[-1]
            self.arbiter.on_joint_state(now_s, in_force, now_s)
            command = self.jog.update(wish, robot(in_force, human=self._human))
            assert command is not None
            self.ahead = np.maximum(self.ahead, np.abs(command - in_force))
            self.arbiter.on_teleop(Teleop(now_s, True, command, 'operator'), now_s)
            output = self.arbiter.tick(now_s, now_s)
            assert output is not None
            self._human = output.source is Source.HUMAN
            self.in_force.append(output.position)
        return self.in_force[begin:]


@pytest.mark.parametrize('scale', [0.1, 0.3, 1.0])
@pytest.mark.parametrize('axis', range(3))
def test_a_stick_let_go_stops_the_hand_however_slow_the_robot(scale: float, axis: int) -> None:
    """First motions of a real robot: `speed:=0.1` and the default jog, whose targets the arms cannot follow."""
    robot_ = Slow(scale)
    push = JogWish(linear=np.eye(3)[axis], sides=('r',))
    robot_.push(JogWish(), 0.5)
    pushed = robot_.push(push, 2.0)
    let_go = robot_.push(JogWish(sides=('r',)), 2.0)
    at = hand(pushed[-1], 'r')[0]
    assert np.linalg.norm(at - hand(PROFILE.home, 'r')[0]) > 0.03, 'it moved'
    farthest = max(float(np.linalg.norm(hand(row, 'r')[0] - at)) for row in let_go)
    assert farthest < 0.05 * max(scale, 0.4)
    rest = let_go[round(0.4 / DT) :]
    np.testing.assert_allclose(rest, np.broadcast_to(rest[-1], np.shape(rest)), atol=2e-3)
    assert robot_.ahead[:14].max() < 0.2


def test_a_stick_turned_round_turns_the_hand_round() -> None:
    """No store of motion is worked off first."""
    robot_ = Slow(0.1)
    up = JogWish(linear=np.array([0.0, 0.0, 1.0]), sides=('r',))
    risen = robot_.push(up, 2.0)[-1]
    down = JogWish(linear=np.array([0.0, 0.0, -1.0]), sides=('r',))
    path = [hand(row, 'r')[0][2] for row in robot_.push(down, 1.0)]
    assert max(path) < hand(risen, 'r')[0][2] + 0.02
    assert path[-1] < hand(risen, 'r')[0][2] - 0.01


def test_a_slow_gripper_holds_up_no_arm_and_stops_when_it_is_let_go() -> None:
    """A gripper that the arbiter slows down once made both arms start anew, again and again."""
    both, alone = Slow(0.1), Slow(0.1)
    up = np.array([0.0, 0.0, 1.0])
    with_gripper = both.push(JogWish(linear=up, gripper=1.0, sides=('r',)), 1.5)
    without = alone.push(JogWish(linear=up, sides=('r',)), 1.5)
    np.testing.assert_allclose(np.array(with_gripper)[:, :14], np.array(without)[:, :14])
    closed = with_gripper[-1][15]
    assert 0.2 < closed < 0.7
    rest = both.push(JogWish(sides=('r',)), 1.0)
    assert closed - 1e-6 <= rest[-1][15] < closed + 0.1
