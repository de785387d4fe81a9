"""Boxes that the grippers' tool centres stay in, checked where the arms would come to rest.

A box is given in the frame of `arm_base_link`, on which both arms hang: x forward, y left, z up while
the waist is upright. Moving the waist moves the boxes with the arms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from lwd_policy_node.control.signals import Vector
from lwd_policy_node.kinematics import ARM_BASE, TOOLS, Chain

Box = tuple[Sequence[float], Sequence[float]]


class Workspace:
    """One box for each arm that has one."""

    def __init__(self, joint_names: Sequence[str], boxes: Mapping[str, Box]) -> None:
        """Take boxes by side, ``l`` or ``r``: lowest and highest corner, each (3,), m.

        Raises:
            ValueError: an unknown side, a box without inside, or an arm's joint that is not
                commanded.
        """
        self.arms: list[npt.NDArray[np.intp]] = []
        """Columns of each arm's joints."""
        self._chains: list[tuple[Chain, Vector, Vector]] = []
        for side, (low, high) in boxes.items():
            if side not in TOOLS:
                raise ValueError(f'no gripper {side!r}; known: {", ".join(TOOLS)}')
            lowest, highest = np.asarray(low, np.float64), np.asarray(high, np.float64)
            if lowest.shape != (3,) or highest.shape != (3,) or not (lowest < highest).all():
                raise ValueError(
                    f'workspace of gripper {side}: {list(low)} to {list(high)} m is no box; '
                    'each lowest coordinate must be below the highest'
                )
            chain = Chain(TOOLS[side], ARM_BASE)
            missing = [name for name in chain.joint_names if name not in joint_names]
            if missing:
                raise ValueError(f'workspace of gripper {side}: {missing[0]} is not commanded')
            columns = [list(joint_names).index(name) for name in chain.joint_names]
            self.arms.append(np.array(columns, np.intp))
            self._chains.append((chain, lowest, highest))

    def outside_m(self, position: Vector) -> Vector:
        """How far each arm's tool centre is outside its box for joint targets (A,); 0 inside, m."""
        found = np.zeros(len(self.arms))
        for index, (columns, (chain, low, high)) in enumerate(
            zip(self.arms, self._chains, strict=True)
        ):
            place = chain.pose(position[columns]).position
            beyond = np.maximum(np.maximum(low - place, place - high), 0.0)
            found[index] = float(np.linalg.norm(beyond))
        return found
