"""What a human's command starts from: the robot as a teleoperation source sees it at one tick."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

NO_TARGET = 'no joint_command: is arbiter_node running, and does the robot publish joint_states?'


@dataclass(frozen=True, slots=True)
class RobotView:
    """The robot at one tick.

    Attributes:
        target: joint targets in force, shape (A,), in the profile's action order: the last that the
            arbiter sent; None when it sends nothing.
        human: the arbiter lets a human move the robot.
        waist: measured lift, m, and waist pitch, rad, shape (2,); None before the first joint_states.
    """

    target: Vector | None
    human: bool
    waist: Vector | None = None
