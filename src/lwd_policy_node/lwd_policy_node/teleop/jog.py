"""Jog the robot's hands: from what a gamepad or a keyboard wishes to joint targets.

The wished velocity moves a goal pose for each hand, which damped least squares follows. The targets start from those
in force, not from where the arms were measured, and stay with them until the arbiter lets the human move the robot.
"""

from __future__ import annotations

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
        self._target: Vector | None = None
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
        self.refusal = ''
        if robot.target is None:
            self.refusal = NO_TARGET
        elif robot.waist is None:
            self.refusal = (
                f'joint_states without {", ".join(WAIST.joint_names)}: jogging needs them'
            )
        if wish is None or robot.target is None or robot.waist is None:
            self._target = None
            return None
        if (
            self._target is None
            or not robot.human
            or np.abs(self._target - robot.target).max() > _LOST_RAD
        ):
            self._start(robot.target)
        assert self._target is not None
        if robot.human:
            turn = WAIST.pose(robot.waist).rotation.T
            for side in wish.sides:
                self._arms[side].move(
                    self._target, turn @ wish.linear, turn @ wish.angular, wish.gripper, self._dt
                )
        return self._target.copy()

    def _start(self, target: Vector) -> None:
        self._target = target.copy()
        for arm in self._arms.values():
            arm.start(target)


class _Arm:
    """One arm and its gripper within the vector of all targets."""

    def __init__(self, side: str, profile: RobotProfile, speeds: JogSpeeds) -> None:
        self._speeds = speeds
        self._chain = Chain(TOOLS[side], ARM_BASE)
        names = list(profile.joint_names)
        missing = {*self._chain.joint_names, f'gripper_{side}'} - set(names)
        if missing:
            raise SourceError(f'profile {profile.name!r} has no joint {sorted(missing)} to jog')
        self._columns = np.array([names.index(name) for name in self._chain.joint_names])
        self._gripper = names.index(f'gripper_{side}')
        lower, upper = profile.limits('lower'), profile.limits('upper')
        self._stroke = lower[self._gripper], upper[self._gripper]
        self._ik = DampedIk(self._chain, lower[self._columns], upper[self._columns])
        self._goal: Pose | None = None

    def start(self, target: Vector) -> None:
        """Take up from the arm's targets in force."""
        self._goal = self._chain.pose(target[self._columns])

    def move(
        self, target: Vector, linear: Vector, angular: Vector, gripper: float, dt: float
    ) -> None:
        """Write this tick's targets into `target` (A,); directions are those of the arms' mount."""
        if gripper != 0.0:
            closed = target[self._gripper] + gripper * self._speeds.gripper_per_s * dt
            target[self._gripper] = np.clip(closed, *self._stroke)
        q = target[self._columns]
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
        target[self._columns] = q + step
        self._goal = _leashed(goal, self._chain.pose(q + step))


def _leashed(goal: Pose, hand: Pose) -> Pose:
    """The goal, drawn to within the leash of the hand."""
    ahead = goal.position - hand.position
    turn = rotation_vector(goal.rotation @ hand.rotation.T)
    far, wide = float(np.linalg.norm(ahead)), float(np.linalg.norm(turn))
    return Pose(
        hand.position + ahead * min(1.0, _LEASH_M / max(far, _LEASH_M)),
        rotated(hand.rotation, turn * min(1.0, _LEASH_RAD / max(wide, _LEASH_RAD))),
    )
