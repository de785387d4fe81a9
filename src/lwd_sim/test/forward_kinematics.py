"""Forward kinematics straight from the published YAML with numpy: what the MuJoCo model is held to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from lwd_policy_node.kinematics import g1_joints

Array = npt.NDArray[np.float64]


def rotation(axis: str, angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return {
        'x': np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        'y': np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        'z': np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


def link_poses(positions: Mapping[str, float]) -> dict[str, tuple[Array, Array]]:
    """Position (3,) and rotation (3, 3) of every link for joint positions by name; fixed-axis roll, pitch, yaw."""
    poses = {'base_link': (np.zeros(3), np.eye(3))}
    waiting = list(g1_joints().values())
    while waiting:
        joint = next(joint for joint in waiting if joint.parent in poses)
        waiting.remove(joint)
        origin, frame = poses[joint.parent]
        roll, pitch, yaw = joint.rpy
        at = origin + frame @ np.array(joint.xyz)
        turned = frame @ rotation('z', yaw) @ rotation('y', pitch) @ rotation('x', roll)
        value = positions.get(joint.name, 0.0)
        if joint.type == 'revolute':
            turned = turned @ rotation('z', value)
        elif joint.type == 'prismatic':
            at = at + turned[:, 2] * value
        poses[joint.child] = (at, turned)
    return poses
