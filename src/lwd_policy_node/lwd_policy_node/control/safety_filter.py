"""The last stage before the wire: finite targets within position, speed and acceleration limits.

The filter works on the sequence of targets it has sent: position p, velocity
v = (p_k - p_{k-1}) / dt. It keeps the pair viable: from every target it sends, braking at the
acceleration limit stops inside the position limits. So there is always a next target that keeps
every limit; where a wish conflicts with a limit, the joint brakes.

A wish is followed in its own moving frame, whose velocity is a short average of the wish's own. With
A = acceleration * dt, a joint with relative velocity u * A covers

    g(u) = u + (u - 1) + ... = (n + 1) u - n (n + 1) / 2,  n = floor(u),   in units of A * dt,

while it brakes to rest. The largest speed from which it still stops within a distance is the
inverse of g, in closed form: a step is approached without overshoot. A wish that can be met this
very tick, at a speed near its own, is met exactly: ordinary motion passes unchanged.

With a workspace, an arm brakes where it could no longer stop with its gripper inside its box. Braking
ends where the last admitted step would have ended, so it never needs more room than there is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lwd_policy_node.control.signals import Clamp, Flags, Vector
from lwd_policy_node.control.workspace import Box, Workspace
from lwd_policy_node.profile import RobotProfile

_TOLERANCE = 1e-9  # rad: smaller changes are rounding, not clamps
_DRIFT_SHARE = 0.3  # of the newest difference in the wish's averaged velocity: about three ticks


class SafetyFilter:
    """Limits of one robot applied to its target sequence.

    Call `seed` once, then `follow` or `brake` at each tick.
    """

    def __init__(
        self,
        profile: RobotProfile,
        *,
        acceleration_scale: float = 1.0,
        velocity_scale: float = 1.0,
        workspace: Mapping[str, Box] | None = None,
    ) -> None:
        """Take the limits from `profile`.

        Args:
            profile: limits, joint order and control rate.
            acceleration_scale: multiplies the profile's accelerations.
            velocity_scale: multiplies the profile's speeds.
            workspace: boxes of the grippers, see `Workspace`; None or empty: none.

        Raises:
            ValueError: a scale that is not positive, or a box that is none.
        """
        if not acceleration_scale > 0.0:
            raise ValueError(f'acceleration_scale must be positive, not {acceleration_scale}')
        if not velocity_scale > 0.0:
            raise ValueError(f'velocity_scale must be positive, not {velocity_scale}')
        self._dt = profile.control_period_s
        self._lower = profile.limits('lower')
        self._upper = profile.limits('upper')
        self._top_speed = profile.limits('velocity') * velocity_scale
        self._speed_step = profile.limits('acceleration') * acceleration_scale * self._dt
        self._unit = self._speed_step * self._dt  # distance covered in one tick at speed A
        self._position = profile.home
        self._velocity = np.zeros_like(self._position)
        self._drift = np.zeros_like(self._position)  # averaged velocity of the wish
        self._workspace = Workspace(profile.joint_names, workspace) if workspace else None
        self._outside_m = np.zeros(len(workspace or ()))
        self._halted = np.zeros(len(self._position), dtype=bool)
        self.share = 1.0
        """Of a period that the next tick lasts: it moves that much less, at the same speed."""
        self.unsound = np.zeros(len(self._position), dtype=bool)
        """Joints of which a target could not be computed: they stay where they are, at rest, from then on."""

    @property
    def position(self) -> Vector:
        """Last target, shape (A,). Not a copy: do not write."""
        return self._position

    @property
    def velocity(self) -> Vector:
        """Rate of the last target, shape (A,), rad/s. Not a copy: do not write."""
        return self._velocity

    def seed(self, position: Vector) -> None:
        """Start again from rest at `position`, shape (A,), finite, with a whole period.

        A position outside the limits is let back in at limited speed.
        """
        self._position = np.array(position, dtype=np.float64)
        self._velocity = np.zeros_like(self._position)
        self._drift = np.zeros_like(self._position)
        self.share = 1.0
        if self._workspace is not None:
            self._outside_m = self._workspace.outside_m(self._position)

    def follow(self, wish: Vector, wish_before: Vector | None = None) -> tuple[Vector, Flags]:
        """Move towards `wish`, shape (A,), one tick on.

        Args:
            wish: where the target should be now; non-finite joints are held.
            wish_before: where the same source wanted it one tick earlier, which tells the
                wish's velocity; None when unknown.

        Returns:
            The next target (A,) and what was changed per joint (A,).
        """
        finite = np.isfinite(wish)
        if not finite.all():
            wish = np.where(finite, wish, self._position)
            wish_before = None if wish_before is None else np.where(finite, wish_before, wish)
        clamps = np.where(finite, 0, int(Clamp.NON_FINITE)).astype(np.uint8)
        inside = np.minimum(np.maximum(wish, self._lower), self._upper)
        clamps[np.abs(inside - wish) > _TOLERANCE] |= int(Clamp.POSITION)

        newest = self._estimate_drift(inside, wish_before)
        asked = (inside - self._position) / self._dt
        lag = inside - self._drift * self._dt - self._position
        approach = self._drift + self._stopping_speed(lag)
        reachable = np.abs(asked - self._velocity) <= self._speed_step + _TOLERANCE
        off = np.minimum(np.abs(asked - newest), np.abs(asked - self._drift))
        near = off <= self._speed_step + _TOLERANCE
        desired = np.where(reachable & near, asked, approach)

        target = self._advance(desired)
        changed = np.abs(target - inside) > _TOLERANCE
        at_top = np.abs(self._velocity) >= self._top_speed - _TOLERANCE
        clamps[changed & at_top] |= int(Clamp.VELOCITY)
        clamps[changed & ~at_top] |= int(Clamp.ACCELERATION)
        clamps[self._halted] |= int(Clamp.WORKSPACE)
        return target, clamps

    def brake(self) -> Vector:
        """Come to rest as fast as the limits allow, then hold; the next target, shape (A,)."""
        self._drift = np.zeros_like(self._velocity)
        return self._advance(np.zeros_like(self._velocity))

    def _estimate_drift(self, inside: Vector, wish_before: Vector | None) -> Vector:
        """Average the velocity of a wish within the limits, and return its newest one, (A,).

        A new wish starts at rest.
        """
        if wish_before is None or not np.isfinite(wish_before).all():
            self._drift = np.zeros_like(inside)
            return self._drift
        before = np.minimum(np.maximum(wish_before, self._lower), self._upper)
        newest = (inside - before) / self._dt
        newest = np.minimum(np.maximum(newest, -self._top_speed), self._top_speed)
        self._drift = self._drift + _DRIFT_SHARE * (newest - self._drift)
        return newest

    def _stopping_speed(self, distance: Vector) -> Vector:
        """Signed speed from which braking covers exactly `distance` (A,): the inverse of g."""
        scaled = np.abs(distance) / self._unit
        n = np.floor((np.sqrt(1.0 + 8.0 * scaled) - 1.0) * 0.5)
        speed = (scaled + n * (n + 1.0) * 0.5) / (n + 1.0) * self._speed_step
        return np.copysign(speed, distance)

    def _advance(self, desired: Vector) -> Vector:
        """Take one step at the allowed velocity nearest to `desired`; the next target (A,)."""
        position, velocity = self._step(desired)
        if self._workspace is not None:
            self._halted[:] = False
            outside_m = self._workspace.outside_m(position + self._braking_way(velocity))
            leaving = outside_m > self._outside_m + _TOLERANCE
            if leaving.any():
                for arm, leaves in zip(self._workspace.arms, leaving, strict=True):
                    self._halted[arm] = leaves
                position, velocity = self._step(np.where(self._halted, 0.0, desired))
                outside_m = np.where(leaving, self._outside_m, outside_m)
            self._outside_m = outside_m
        # The last line of defence: NaN would stay in the sequence, and reach the robot, for good.
        self.unsound |= ~(np.isfinite(position) & np.isfinite(velocity))
        if self.unsound.any():
            position = np.where(self.unsound, self._position, position)
            velocity = np.where(self.unsound, 0.0, velocity)
        self._position, self._velocity = position, velocity
        return position.copy()

    def _braking_way(self, velocity: Vector) -> Vector:
        """What a joint that has just moved at `velocity` (A,) covers until it rests, signed."""
        speed = np.abs(velocity) / self._speed_step
        n = np.floor(speed)
        return np.copysign((n * speed - n * (n + 1.0) * 0.5) * self._unit, velocity)

    def _step(self, desired: Vector) -> tuple[Vector, Vector]:
        """Position and velocity after one step at the allowed velocity nearest to `desired`."""
        low = np.maximum(-self._top_speed, self._stopping_speed(self._lower - self._position))
        high = np.minimum(self._top_speed, self._stopping_speed(self._upper - self._position))
        velocity = np.minimum(np.maximum(desired, low), high)
        # Last, so that it always holds. For a viable state the bounds above lie within it.
        velocity = np.minimum(
            np.maximum(velocity, self._velocity - self._speed_step),
            self._velocity + self._speed_step,
        )
        # A shorter tick ends nearer to where it began: what can stop from the whole way can from here.
        position = self._position + velocity * (self._dt * self.share)
        # Rounding must not leave the limits by a last bit; a robot found outside is let back in.
        position = np.minimum(
            np.maximum(position, np.minimum(self._lower, self._position)),
            np.maximum(self._upper, self._position),
        )
        return position, velocity
