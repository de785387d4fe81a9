"""Inverse kinematics of one arm: damped least squares with an active set on the joint limits.

Plain clipping at the limits stalls (the G1's elbow and wrist are short of range at a table); removing a joint that
meets its limit from the problem and solving again does not. Position counts, orientation only a little.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
import numpy.typing as npt

from lwd_sim.robot.g1_model import LEFT_ARM, RIGHT_ARM

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class IkSolution:
    """Joint angles (7,) rad, and what is left of the error: m and rad."""

    q: Array
    position_error_m: float
    orientation_error_rad: float


class ArmIk:
    """Solves tool-centre poses of one arm on a private copy of the kinematic state; never touches the world's."""

    def __init__(
        self,
        model: mujoco.MjModel,
        side: str,
        *,
        orientation_weight: float = 0.12,
        damping: float = 0.03,
        rest_weight: float = 0.012,
        max_step_rad: float = 0.35,
    ) -> None:
        """``side`` is ``l`` or ``r``. Weights are relative to 1 per metre of position error."""
        names = LEFT_ARM if side == 'l' else RIGHT_ARM
        self._model = model
        self._data = mujoco.MjData(model)
        self._site = model.site(f'tcp_{side}').id
        self._qpos = np.array([model.joint(name).qposadr[0] for name in names])
        self._dofs = np.array([model.joint(name).dofadr[0] for name in names])
        limits = np.array([model.joint(name).range for name in names])
        self._lower, self._upper = limits[:, 0] + 0.01, limits[:, 1] - 0.01
        self._weight = orientation_weight
        self._damping = damping**2
        self._rest = rest_weight**2
        self._diagonal = (self._damping + self._rest) * np.eye(7)
        self._max_step = max_step_rad
        self._jac = np.zeros((6, model.nv))

    def solve(
        self,
        qpos: Array,
        position: Array,
        rotation: Array,
        rest: Array,
        *,
        start: Array | None = None,
        iterations: int = 40,
        tolerance_rad: float = 2e-3,
    ) -> IkSolution:
        """Find arm angles that put the tool centre at ``position`` (3,) with axes ``rotation`` (3, 3).

        Args:
            qpos: the model's generalised positions; all but this arm's are taken as they are.
            position: m, world frame (the robot's base frame).
            rotation: columns are the tool's axes.
            rest: (7,) posture to prefer where the task leaves freedom.
            start: (7,) first guess; the arm's angles in ``qpos`` if None.
            iterations: most steps taken.
            tolerance_rad: a step smaller than this at every joint ends the search.
        """
        data = self._data
        data.qpos[:] = qpos
        q = np.clip(qpos[self._qpos] if start is None else start, self._lower, self._upper)
        for _ in range(iterations):
            error = self._error(q, position, rotation)
            mujoco.mj_comPos(self._model, data)
            mujoco.mj_jacSite(self._model, data, self._jac[:3], self._jac[3:], self._site)
            jac = self._jac[:, self._dofs]
            error[3:] *= self._weight
            jac[3:] *= self._weight
            step = self._step(jac, error, q, rest)
            q = q + step
            if np.abs(step).max() < tolerance_rad:
                break
        error = self._error(q, position, rotation)
        return IkSolution(q, float(np.linalg.norm(error[:3])), float(np.linalg.norm(error[3:])))

    def _error(self, q: Array, position: Array, rotation: Array) -> Array:
        self._data.qpos[self._qpos] = q
        mujoco.mj_kinematics(self._model, self._data)
        has = self._data.site_xmat[self._site].reshape(3, 3)
        error = np.empty(6)
        error[:3] = position - self._data.site_xpos[self._site]
        # half the sum of the axes' cross products: the rotation vector for small angles, monotonic below 90 deg
        a, b = has.T, rotation.T
        error[3] = 0.5 * np.sum(a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1])
        error[4] = 0.5 * np.sum(a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2])
        error[5] = 0.5 * np.sum(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
        cosine = (np.einsum('ij,ij->', has, rotation) - 1.0) / 2.0
        sine = np.linalg.norm(error[3:])
        if sine > 1e-9:
            error[3:] *= np.arctan2(sine, cosine) / sine
        return error

    def _step(self, jac: Array, error: Array, q: Array, rest: Array) -> Array:
        """Least-squares step whose joints at a limit are held there and taken out of the problem."""
        step = np.zeros(7)
        free = np.ones(7, dtype=bool)
        for _ in range(7):
            left = error if free.all() else error - jac[:, ~free] @ step[~free]
            j = jac[:, free]
            normal = j.T @ j + self._diagonal[: j.shape[1], : j.shape[1]]
            step[free] = np.linalg.solve(normal, j.T @ left + self._rest * (rest - q)[free])
            longest = abs(step[free]).max()
            if longest > self._max_step:
                step[free] *= self._max_step / longest
            reached = q + step
            out = free & ((reached < self._lower) | (reached > self._upper))
            if not out.any():
                break
            step[out] = np.clip(reached[out], self._lower[out], self._upper[out]) - q[out]
            free &= ~out
            if not free.any():
                break
        return step
