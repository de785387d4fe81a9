"""From what a source wants to what is sent: blend, then the safety filter."""

from __future__ import annotations

import numpy as np

from lwd_policy_node.control.arbiter_config import ArbiterConfig
from lwd_policy_node.control.blend import Blend
from lwd_policy_node.control.chunk_clock import DueStep
from lwd_policy_node.control.safety_filter import SafetyFilter
from lwd_policy_node.control.signals import Clamp, Flags, Mask, Vector
from lwd_policy_node.profile import RobotProfile

STANDSTILL = 1e-3  # rad/s
EARLY = 0.75  # of a period: a tick this soon after the last moves the target by its share of one
Move = tuple[Vector, Vector, Flags]
"""The next target, what was asked for, and `Clamp` bits per joint; each (A,)."""


class Motion:
    """The targets in force. Call one of `hold`, `human` and `policy` at each tick."""

    def __init__(self, profile: RobotProfile, config: ArbiterConfig) -> None:
        """Limits and control rate come from `profile`.

        Raises:
            ValueError: the acceleration scale or a workspace box cannot be.
        """
        self._size = len(profile.joints)
        self._filter = SafetyFilter(
            profile,
            acceleration_scale=config.acceleration_scale,
            velocity_scale=config.velocity_scale,
            workspace=config.workspace,
        )
        self._blend = Blend(config.blend_s, profile.control_period_s)
        self._last_wish: Vector | None = None

    @property
    def position(self) -> Vector:
        """Last target, shape (A,). Not a copy: do not write."""
        return self._filter.position

    @property
    def at_rest(self) -> bool:
        """Whether the target stands still."""
        return bool(np.abs(self._filter.velocity).max(initial=0.0) < STANDSTILL)

    @property
    def unsound(self) -> Mask:
        """Joints (A,) of which a target could not be computed; see `SafetyFilter.unsound`."""
        return self._filter.unsound

    def lasts(self, share: float) -> None:
        """Say how long the next tick lasts, in control periods."""
        self._filter.share = share if share < EARLY else 1.0

    def seed(self, position: Vector) -> None:
        """Start again from rest at `position`, shape (A,)."""
        self._filter.seed(position)
        self._blend.begin(position)
        self._last_wish = None

    def change_source(self, *, blend: bool) -> None:
        """Another source moves the robot from now on; `blend` from the last target."""
        self._last_wish = None
        if blend:
            self._blend.begin(self._filter.position)

    def hold(self) -> Move:
        """Come to rest."""
        position = self._filter.brake()
        return position, position, np.zeros(self._size, dtype=np.uint8)

    def human(self, wish: Vector) -> Move:
        """Follow a human; a wish of the wrong size is held."""
        if wish.shape == (self._size,):
            return self._follow(wish, self._last_wish)
        self._last_wish = None
        clamps = np.full(self._size, int(Clamp.WRONG_SIZE), dtype=np.uint8)
        return self._filter.brake(), np.full(self._size, np.nan), clamps

    def policy(self, due: DueStep) -> Move:
        """Follow a step of a plan."""
        return self._follow(due.wish, due.wish_before if due.step else self._last_wish)

    def _follow(self, wish: Vector, before: Vector | None) -> Move:
        if not self._blend.active:
            self._last_wish = wish
            position, clamps = self._filter.follow(wish, before)
            return position, wish, clamps
        blended = self._blend.apply(wish)
        position, clamps = self._filter.follow(blended, self._last_wish)
        self._last_wish = blended
        clamps[blended != wish] |= int(Clamp.BLEND)
        return position, wish, clamps
