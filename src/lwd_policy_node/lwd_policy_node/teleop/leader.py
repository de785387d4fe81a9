"""A leader arm: its joints lead the robot's, once they agree.

A pure state machine; `now_s` is a steady wall clock. The leader may take over only in the pose of the targets in force,
and its commands begin exactly there: what is left of the difference is worked off over `settle_s`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from lwd_policy_node.profile import RobotProfile
from lwd_policy_node.teleop.robot_view import NO_TARGET, RobotView, Vector
from lwd_policy_node.teleop.source import SourceError

Value = TypeVar('Value', str, float)

_LOST_RAD = 1.0  # a robot that lags this far was moved by other means: the leader must match again
_WORST_NAMED = 3  # of the joints that are off


@dataclass(frozen=True, slots=True)
class LeaderConfig:
    """How a leader's joints become the robot's.

    Tuples have a value per action joint, in the profile's order, or one value for all.
    """

    names: tuple[str, ...] = ('',)
    """The leader's name of each joint; '' = not led, its target stays; one '': the profile's own names."""
    signs: tuple[float, ...] = (1.0,)
    """Factor of each joint."""
    offsets: tuple[float, ...] = (0.0,)
    """Added after the factor, rad or gripper fraction."""
    tolerance: tuple[float, ...] = (0.15,)
    """How far a joint may be off at a takeover, rad: one value for all arm joints, or one per action joint."""
    gripper_tolerance: float = 0.3
    """The same for grippers where `tolerance` is one value: a leader's open hand must not drop what is held."""
    timeout_s: float = 0.2
    settle_s: float = 1.0


class Leader:
    """One leader device. Call `update` at every control tick."""

    def __init__(self, profile: RobotProfile, config: LeaderConfig | None = None) -> None:
        """Check the configuration against `profile`.

        Raises:
            SourceError: a tuple of the configuration has the wrong length, or no joint is led.
        """
        self._config = config = config or LeaderConfig()
        self._joints = profile.joint_names
        count = len(self._joints)
        self._names = _each(
            'leader_joint_names', self._joints if config.names == ('',) else config.names, count
        )
        self._signs = np.array(_all('leader_signs', config.signs, count))
        self._offsets = np.array(_all('leader_offsets', config.offsets, count))
        tolerance = config.tolerance
        if len(tolerance) == 1:
            arm, grip = tolerance[0], config.gripper_tolerance
            tolerance = tuple(grip if n.startswith('gripper') else arm for n in self._joints)
        self._tolerance = np.array(_each('leader_tolerance', tolerance, count))
        self._led = np.array([bool(name) for name in self._names])
        if not self._led.any():
            raise SourceError('leader_joint_names: every name is empty, so no joint is led')
        self._settle_ticks = max(1, round(config.settle_s / profile.control_period_s))
        self._position: Vector | None = None
        self._wrong = 'no leader JointState yet: does its driver run in this namespace?'
        self._heard_s = -np.inf
        self._start: Vector | None = None  # targets in force at the takeover; None: not in control
        self._offset = np.zeros(count)  # from the leader to them
        self._followed = 0  # ticks since the arbiter let the human move the robot
        self.refusal = ''
        """Why a held deadman does not give control; empty when nothing is wrong."""

    def on_joints(self, names: list[str], position: Vector, now_s: float) -> None:
        """Take the leader's joint positions, `position[i]` of joint `names[i]`."""
        self._heard_s = now_s
        self._position = None
        missing = [n for n in self._names if n and n not in names]
        if missing or len(names) != len(position):
            self._wrong = f'the leader does not give a position for {missing or names}: set leader_joint_names'
            return
        place = {name: index for index, name in enumerate(names)}
        raw = np.array([position[place[n]] if n else 0.0 for n in self._names], dtype=np.float64)
        if not np.isfinite(raw).all():
            self._wrong = 'the leader sent a position that is not finite'
            return
        self._position = self._signs * raw + self._offsets

    def update(self, held: bool, robot: RobotView, now_s: float) -> Vector | None:
        """One tick on: joint targets (A,); None when the human is not in control.

        Args:
            held: the deadman is held.
            robot: what is known of the robot now.
            now_s: as of `on_joints`.
        """
        leader = self._read(robot, now_s)
        if leader is None or robot.target is None or not held:
            self._start = None
            return None
        lost = np.abs(leader - robot.target).max() > _LOST_RAD
        if self._start is None or not robot.human or lost:
            # Not yet in control, or no longer (e-stop, stale robot): the leader must be where the robot is.
            if self.refusal:
                self._start = None
                return None
            self._start, self._offset, self._followed = robot.target, robot.target - leader, 0
        self.refusal = ''
        if robot.human:
            self._followed += 1
        left = max(0.0, 1.0 - self._followed / self._settle_ticks)
        return np.where(self._led, leader + left * self._offset, self._start)

    def _read(self, robot: RobotView, now_s: float) -> Vector | None:
        """The leader's joints (A,), those not led at the robot's own targets; says in `refusal` what is amiss."""
        if robot.target is None:
            self.refusal = NO_TARGET
            return None
        if now_s - self._heard_s > self._config.timeout_s and np.isfinite(self._heard_s):
            self.refusal = f'the leader is silent for more than {self._config.timeout_s:g} s'
            return None
        if self._position is None:
            self.refusal = self._wrong
            return None
        leader = np.where(self._led, self._position, robot.target)
        self.refusal = self._mismatch(leader - robot.target)
        return leader

    def _mismatch(self, off: Vector) -> str:
        """Name the joints that are furthest beyond their tolerance."""
        beyond = np.abs(off) / np.maximum(self._tolerance, 1e-9)
        worst = [int(i) for i in np.argsort(-beyond)[:_WORST_NAMED] if beyond[i] > 1.0]
        if not worst:
            return ''
        parts = [
            f'{self._joints[i]} by {off[i]:+.2f} (tolerance {self._tolerance[i]:.2f})'
            for i in worst
        ]
        more = int((beyond > 1.0).sum()) - len(worst)
        return f"the leader is not in the robot's pose: off {', '.join(parts)}" + (
            f' and {more} more' if more else ''
        )


def _all(name: str, values: tuple[float, ...], count: int) -> tuple[float, ...]:
    return _each(name, values * count if len(values) == 1 else values, count)


def _each(name: str, values: tuple[Value, ...], count: int) -> tuple[Value, ...]:
    if len(values) != count:
        raise SourceError(f'{name} has {len(values)} values; the profile has {count} joints')
    return values
