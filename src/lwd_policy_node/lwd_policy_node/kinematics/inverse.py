"""Inverse kinematics of a chain: damped least squares with an active set on the joint limits.

A joint that a step would take past its limit is held there and taken out of the problem, and the
rest is solved again: plain clipping stalls, because the G1's elbow and wrist are short of range at a
table. Damping bounds the joints' motion near singular postures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lwd_policy_node.kinematics.chain import Array, Chain, Pose, rotation_vector


@dataclass(frozen=True, slots=True)
class IkSolution:
    """Joint positions (N,), the pose they give, and what is left of the error: m and rad."""

    q: Array
    pose: Pose
    position_error_m: float
    orientation_error_rad: float


class DampedIk:
    """Solves tip poses of one chain."""

    def __init__(
        self,
        chain: Chain,
        lower: Array,
        upper: Array,
        *,
        orientation_weight: float = 0.2,
        damping: float = 0.02,
        max_step_rad: float = 0.35,
        tolerance_m: float = 1e-5,
    ) -> None:
        """Keep joints within `lower` .. `upper`, shape (N,).

        Args:
            chain: what is solved.
            lower: least joint positions, shape (N,).
            upper: greatest joint positions, shape (N,).
            orientation_weight: metres that a radian of orientation error counts as.
            damping: m per rad; larger is slower and calmer near singular postures.
            max_step_rad: most that any joint moves in one iteration.
            tolerance_m: the weighted error at which the search ends.
        """
        self._chain = chain
        self._lower = lower
        self._upper = upper
        self._weights = np.array([1.0] * 3 + [orientation_weight] * 3)
        self._damping = damping**2
        self._max_step = max_step_rad
        self._tolerance = tolerance_m

    def solve(self, pose: Pose, start: Array, *, iterations: int = 100) -> IkSolution:
        """Move from `start` (N,) towards `pose`, in the frame of the chain's root, for at most `iterations` steps.

        A start outside the limits is let back in. The answer is within the limits and may fall short of the pose.
        """
        q = np.clip(start, self._lower, self._upper)
        reached, jacobian = self._chain.pose_and_jacobian(q)
        for _ in range(iterations):
            error = self._weights * _difference(reached, pose)
            if np.linalg.norm(error) < self._tolerance:
                break
            step = self._step(self._weights[:, None] * jacobian, error, q)
            q = np.clip(q + step, self._lower, self._upper)
            reached, jacobian = self._chain.pose_and_jacobian(q)
        left = _difference(reached, pose)
        return IkSolution(
            q, reached, float(np.linalg.norm(left[:3])), float(np.linalg.norm(left[3:]))
        )

    def _step(self, jacobian: Array, error: Array, q: Array) -> Array:
        step = np.zeros_like(q)
        free = np.ones(q.shape, dtype=bool)
        while free.any():
            part = jacobian[:, free]
            left = error - jacobian[:, ~free] @ step[~free]
            normal = part.T @ part + self._damping * np.eye(part.shape[1])
            step[free] = np.linalg.solve(normal, part.T @ left)
            longest = float(np.abs(step[free]).max())
            if longest > self._max_step:
                step[free] *= self._max_step / longest
            reached = q + step
            out = free & ((reached < self._lower) | (reached > self._upper))
            if not out.any():
                break
            step[out] = np.clip(reached[out], self._lower[out], self._upper[out]) - q[out]
            free &= ~out
        return step


def _difference(has: Pose, wanted: Pose) -> Array:
    """What takes `has` to `wanted`: (6,), m and rad, in the outer frame."""
    return np.concatenate(
        [wanted.position - has.position, rotation_vector(wanted.rotation @ has.rotation.T)]
    )
