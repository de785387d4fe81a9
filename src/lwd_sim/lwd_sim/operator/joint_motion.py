"""Joint targets that move like a person's hand: straight in joint space, with bounded speed and acceleration."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from lwd_policy_node.profile import RobotProfile

Array = npt.NDArray[np.float64]


class JointMotion:
    """Moves the target towards a goal within the profile's limits, braking in time; one call per control tick.

    Stays below the limits (``share``), so the arbiter's safety filter has nothing to change.
    """

    def __init__(
        self, profile: RobotProfile, *, share: float = 0.8, cruise_rad_s: float = 2.0
    ) -> None:
        """Fastest arm joint moves at ``cruise_rad_s`` or ``share`` of its limit, whichever is less."""
        period = profile.control_period_s
        self._step = np.minimum(share * profile.limits('velocity'), cruise_rad_s) * period
        grippers = np.array([joint.name.startswith('gripper') for joint in profile.joints])
        self._step[grippers] = share * profile.limits('velocity')[grippers] * period
        self._change = share * profile.limits('acceleration') * period**2
        self._lower, self._upper = profile.limits('lower'), profile.limits('upper')
        self._groups = (slice(0, 7), slice(7, 14), slice(14, 15), slice(15, 16))
        self.target = profile.home
        self._velocity = np.zeros(len(profile.joints))

    def start(self, target: Array, velocity: Array | None = None) -> None:
        """Take up from the target in force (16,), and its last change per tick (16,) if known."""
        self.target = target.copy()
        self._velocity = np.zeros_like(target) if velocity is None else velocity.copy()

    def towards(self, goal: Array, speed: Array) -> Array:
        """One tick towards ``goal`` (16,) at ``speed`` (16,) of full speed; returns the new target (16,)."""
        left = np.clip(goal, self._lower, self._upper) - self.target
        wanted = np.zeros_like(left)
        for group in self._groups:
            # one pace for all joints of an arm: the joint that needs longest sets it
            distance = np.abs(left[group])
            cruise = self._step[group] * speed[group]
            allowed = np.minimum(cruise, self._stoppable(np.abs(left))[group])
            moving = distance > 1e-6
            if moving.any():
                share = float(np.min(allowed[moving] / distance[moving]))
                wanted[group] = left[group] * share
        # never faster towards a limit than one can brake before it
        wanted = np.clip(
            wanted,
            -self._stoppable(self.target - self._lower),
            self._stoppable(self._upper - self.target),
        )
        change = np.clip(wanted - self._velocity, -self._change, self._change)
        self._velocity = self._velocity + change
        self.target = np.clip(self.target + self._velocity, self._lower, self._upper)
        return self.target.copy()

    def _stoppable(self, room: Array) -> Array:
        """Largest change per tick (16,) that can be braked within ``room`` (16,)."""
        return np.minimum(np.sqrt(2 * 0.7 * self._change * room), room)
