"""Forward kinematics and Jacobian of a serial chain of the robot, with numpy alone.

Called by the teleoperation jog (`teleop.jog`); held to MuJoCo's kinematics by the tests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lwd_policy_node.kinematics.joints import KinematicJoint, g1_joints

Array = npt.NDArray[np.float64]

BASE = 'base_link'
ARM_BASE = 'arm_base_link'
"""Where both arms are mounted, on the waist; x forward, y left, z up while the waist is upright."""
TOOLS = {'l': 'gripper_l_center_link', 'r': 'gripper_r_center_link'}
"""Tool centre of each side's gripper, between its finger pads."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Place and axes of one link in another's frame: `position` (3,) m, `rotation` (3, 3)."""

    position: Array
    rotation: Array


class Chain:
    """The joints between two links, root first."""

    def __init__(self, tip: str, root: str = BASE) -> None:
        """Follow the published description from `tip` up to `root`.

        Raises:
            ValueError: `root` is not among the ancestors of `tip`.
        """
        above = {joint.child: joint for joint in g1_joints().values()}
        joints: list[KinematicJoint] = []
        link = tip
        while link != root:
            if link not in above:
                raise ValueError(f'{tip} does not hang on {root}: its root is {link}')
            joints.append(above[link])
            link = above[link].parent
        joints.reverse()
        self.joint_names = tuple(joint.name for joint in joints if joint.type != 'fixed')
        """The N joints that move, root first: the order of every `q`."""
        # Fixed joints are folded into the transform before the next moving one, or into the tool's.
        self._before: list[tuple[Array, Array]] = []
        self._slides: list[bool] = []
        place, turn = np.zeros(3), np.eye(3)
        for joint in joints:
            place = place + turn @ np.array(joint.xyz)
            turn = turn @ _fixed_axis(*joint.rpy)
            if joint.type != 'fixed':
                self._before.append((place, turn))
                self._slides.append(joint.type == 'prismatic')
                place, turn = np.zeros(3), np.eye(3)
        self._tool = (place, turn)

    def pose(self, q: Array) -> Pose:
        """The tip in the root's frame for joint positions `q` (N,), rad and m."""
        return self.pose_and_jacobian(q)[0]

    def pose_and_jacobian(self, q: Array) -> tuple[Pose, Array]:
        """The tip's pose, and its Jacobian (6, N): rows 0-2 m, 3-5 rad in the root's frame, per unit of each joint."""
        place, turn = np.zeros(3), np.eye(3)
        origins = np.empty((len(self._before), 3))
        axes = np.empty((len(self._before), 3))
        for index, (offset, frame) in enumerate(self._before):
            place = place + turn @ offset
            turn = turn @ frame
            axes[index] = turn[:, 2]
            if self._slides[index]:
                place = place + q[index] * turn[:, 2]
            else:
                turn = turn @ _about_z(float(q[index]))
            origins[index] = place
        place = place + turn @ self._tool[0]
        turn = turn @ self._tool[1]
        hinged = ~np.array(self._slides)[:, None]
        jacobian = np.empty((6, len(self._before)))
        jacobian[:3] = np.where(hinged, np.cross(axes, place - origins), axes).T
        jacobian[3:] = np.where(hinged, axes, 0.0).T
        return Pose(place, turn), jacobian


def rotation_vector(rotation: Array) -> Array:
    """The rotation (3, 3) as axis times angle, shape (3,), rad; for angles below 180 degrees."""
    vector = 0.5 * np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    sine = float(np.linalg.norm(vector))
    if sine < 1e-9:
        return vector
    cosine = (float(np.trace(rotation)) - 1.0) / 2.0
    return vector * (math.atan2(sine, cosine) / sine)


def rotated(rotation: Array, vector: Array) -> Array:
    """`rotation` (3, 3) turned further by `vector` (3,): axis times angle, rad, in the same outer frame."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return rotation
    x, y, z = vector / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    turn: Array = np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * cross @ cross
    return turn @ rotation


def _about_z(angle: float) -> Array:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _fixed_axis(roll: float, pitch: float, yaw: float) -> Array:
    """URDF's rpy: roll, pitch, yaw about the parent's fixed axes."""
    cr, sr = math.cos(roll), math.sin(roll)
    cp, sp = math.cos(pitch), math.sin(pitch)
    tilt = np.array([[cp, sp * sr, sp * cr], [0.0, cr, -sr], [-sp, cp * sr, cp * cr]])
    turn: Array = _about_z(yaw) @ tilt
    return turn
