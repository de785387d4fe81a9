"""Jog the robot's hands: from what a gamepad or a keyboard wishes to joint targets.

The wished velocity moves a goal pose for each hand, which damped least squares follows. The targets start from those
in force, not from where the arms were measured, and stay with them until the arbiter lets the human move the robot.
They never run far ahead of those in force, however slow the arbiter lets the robot be, and a stick let go draws them
back to where the robot can stop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lwd_policy_node.kinematics import (
    ARM_BASE,
    TOOLS,
    Chain,
    DampedIk,
    Pose,
    rotated,
    rotation_vector,
)
from lwd_policy_node.profile import RobotProfile
from lwd_policy_node.teleop.robot_view import NO_TARGET, RobotView, Vector
from lwd_policy_node.teleop.source import SourceError

SIDES = ('l', 'r')
WAIST = Chain(ARM_BASE)
"""Lift and waist pitch: they turn the hands' directions, which are those of the robot's base."""

_IK_STEPS = 2  # a tick moves a hand by millimetres: more do not come nearer
_LEASH_M = 0.02  # a goal out of reach runs no further ahead of the hand than this
_LEASH_RAD = 0.1
_LOST_RAD = 0.5  # targets in force this far from what was asked for: the robot was moved, or put back for a new scene
_AHEAD_RAD = (
    0.1  # most that a joint is asked for beyond its target in force: two ticks at the fastest jog
)
_AHEAD_GRIPPER = 0.25
_LATENCY_TICKS = 2  # until a command is in force, at most, when all goes well
_SPEED_TICKS = (
    3  # over which the speed of the targets in force is averaged: commands come unevenly
)


@dataclass(frozen=True, slots=True)
class JogSpeeds:
    """How fast a full wish moves the robot."""

    linear_m_s: float = 0.15
    angular_rad_s: float = 0.6
    gripper_per_s: float = 1.5
    joint_rad_s: float = 1.5
    """Most that any arm joint turns, whatever the hand is asked for."""


@dataclass(frozen=True, slots=True)
class JogWish:
    """What the human wants at one tick, as shares of `JogSpeeds`, -1 .. 1.

    Attributes:
        linear: of the hand, shape (3,): forward, left, up, seen from the robot's base.
        angular: of the hand about the same axes through its tool centre, shape (3,): roll, pitch, yaw.
        gripper: positive closes.
        sides: the hands that move, of `SIDES`.
    """

    linear: Vector = field(default_factory=lambda: np.zeros(3))
    angular: Vector = field(default_factory=lambda: np.zeros(3))
    gripper: float = 0.0
    sides: Sequence[str] = SIDES


class Jog:
    """Joint targets of one spell of control. Call `update` at every control tick."""

    def __init__(self, profile: RobotProfile, speeds: JogSpeeds | None = None) -> None:
        """Take joints, limits and the control period from `profile`.

        Raises:
            SourceError: the profile lacks a joint of an arm or a gripper.
        """
        self._speeds = speeds or JogSpeeds()
        self._dt = profile.control_period_s
        self._arms = {side: _Arm(side, profile, self._speeds) for side in SIDES}
        self._speed_step = profile.limits('acceleration') * self._dt
        self._arm_columns = np.concatenate([arm.columns for arm in self._arms.values()])
        self._target: Vector | None = None
        self._in_force: deque[Vector] = deque(maxlen=_SPEED_TICKS + 1)
        self.refusal = ''
        """Why a held deadman does not give control; empty when nothing is wrong."""

    def update(self, wish: JogWish | None, robot: RobotView) -> Vector | None:
        """One tick on.

        Args:
            wish: None while the deadman is released.
            robot: what is known of the robot now.

        Returns:
            Joint targets (A,); None when the human is not in control.
        """
        waist = robot.waist
        self.refusal = NO_TARGET if robot.target is None else _amiss(waist)
        if wish is None or robot.target is None or waist is None or self.refusal:
            self._target = None
            self._in_force.clear()
            return None
        self._in_force.append(robot.target)
        if self._target is None or not robot.human or self._lost(self._target, robot.target):
            self._start(robot.target)
        assert self._target is not None
        if robot.human:
            turn = WAIST.pose(waist).rotation.T
            low, high = self._stops()
            for side, arm in self._arms.items():
                ours = wish if side in wish.sides else JogWish()
                arm.draw_back(self._target, robot.target, low, high, ours)
                linear, angular = turn @ ours.linear, turn @ ours.angular
                arm.move(self._target, linear, angular, ours.gripper, self._dt)
        return self._target.copy()

    def _start(self, target: Vector) -> None:
        self._target = target.copy()
        for arm in self._arms.values():
            arm.start(target)

    def _lost(self, target: Vector, in_force: Vector) -> bool:
        return bool(np.abs(target - in_force)[self._arm_columns].max() > _LOST_RAD)

    def _stops(self) -> tuple[Vector, Vector]:
        """Between which targets (A,) the robot comes to rest without turning back, if it brakes now."""
        newest, oldest = self._in_force[-1], self._in_force[0]
        step = (newest - oldest) / max(1, len(self._in_force) - 1)
        way = step * (_LATENCY_TICKS + np.abs(step) / (2.0 * self._speed_step * self._dt))
        return newest + np.minimum(way, 0.0), newest + np.maximum(way, 0.0)


class _Arm:
    """One arm and its gripper within the vector of all targets."""

    def __init__(self, side: str, profile: RobotProfile, speeds: JogSpeeds) -> None:
        self._speeds = speeds
        self._chain = Chain(TOOLS[side], ARM_BASE)
        names = list(profile.joint_names)
        missing = {*self._chain.joint_names, f'gripper_{side}'} - set(names)
        if missing:
            raise SourceError(f'profile {profile.name!r} has no joint {sorted(missing)} to jog')
        self.columns = np.array([names.index(name) for name in self._chain.joint_names])
        """Of the arm's joints in the vector of all targets."""
        self._gripper = names.index(f'gripper_{side}')
        lower, upper = profile.limits('lower'), profile.limits('upper')
        self._stroke = lower[self._gripper], upper[self._gripper]
        self._ik = DampedIk(self._chain, lower[self.columns], upper[self.columns])
        self._goal: Pose | None = None
        self._push = np.zeros(6)
        self._gripping = 0.0

    def start(self, target: Vector) -> None:
        """Take up from the arm's targets in force."""
        self._push, self._gripping = np.zeros(6), 0.0
        self._goal = self._chain.pose(target[self.columns])

    def draw_back(
        self, target: Vector, in_force: Vector, low: Vector, high: Vector, wish: JogWish
    ) -> None:
        """Draw what is asked for, `target` (A,), towards what is in force (A,).

        While a stick is pushed the whole arm stays within a leash, so that the hand keeps its way. Let go, or turned
        round, it is put once between `low` and `high` (A,), where the robot can stop: a target that crept back would
        pull the hand back.
        """
        columns = self.columns
        push = np.concatenate([wish.linear, wish.angular])
        if self._push.any() and push @ self._push <= 0.0:
            target[columns] = np.clip(target[columns], low[columns], high[columns])
            self._goal = self._chain.pose(target[columns])
        elif push.any():
            ahead = target[columns] - in_force[columns]
            share = _AHEAD_RAD / max(float(np.abs(ahead).max()), _AHEAD_RAD)
            target[columns] = in_force[columns] + share * ahead
        gripper = self._gripper
        if self._gripping and wish.gripper * self._gripping <= 0.0:
            target[gripper] = np.clip(target[gripper], low[gripper], high[gripper])
        elif wish.gripper:
            near, far = in_force[gripper] - _AHEAD_GRIPPER, in_force[gripper] + _AHEAD_GRIPPER
            target[gripper] = np.clip(target[gripper], near, far)
        self._push, self._gripping = push, wish.gripper

    def move(
        self, target: Vector, linear: Vector, angular: Vector, gripper: float, dt: float
    ) -> None:
        """Write this tick's targets into `target` (A,); directions are those of the arms' mount."""
        if gripper != 0.0:
            closed = target[self._gripper] + gripper * self._speeds.gripper_per_s * dt
            target[self._gripper] = np.clip(closed, *self._stroke)
        q = target[self.columns]
        if not (linear.any() or angular.any()):
            self._goal = self._chain.pose(q)  # a stick let go stops the hand where it is
            return
        assert self._goal is not None
        goal = Pose(
            self._goal.position + linear * self._speeds.linear_m_s * dt,
            rotated(self._goal.rotation, angular * self._speeds.angular_rad_s * dt),
        )
        step = self._ik.solve(goal, q, iterations=_IK_STEPS).q - q
        fastest = float(np.abs(step).max())
        if fastest > self._speeds.joint_rad_s * dt:
            step *= self._speeds.joint_rad_s * dt / fastest
        target[self.columns] = q + step
        self._goal = _leashed(goal, self._chain.pose(q + step))


def _amiss(waist: Vector | None) -> str:
    """Why the hands' directions are not known; else empty."""
    if waist is None:
        return f'joint_states without {", ".join(WAIST.joint_names)}: jogging needs them'
    for name, value in zip(WAIST.joint_names, waist, strict=True):
        if not np.isfinite(value):
            return f'joint_states gives {value} for {name}: jogging needs it, look at the driver'
    return ''


def _leashed(goal: Pose, hand: Pose) -> Pose:
    """The goal, drawn to within the leash of the hand."""
    ahead = goal.position - hand.position
    turn = rotation_vector(goal.rotation @ hand.rotation.T)
    far, wide = float(np.linalg.norm(ahead)), float(np.linalg.norm(turn))
    return Pose(
        hand.position + ahead * min(1.0, _LEASH_M / max(far, _LEASH_M)),
        rotated(hand.rotation, turn * min(1.0, _LEASH_RAD / max(wide, _LEASH_RAD))),
    )
