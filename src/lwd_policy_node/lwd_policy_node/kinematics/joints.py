"""The G1's joint facts, read from the YAML that ships with the package.

The only place that parses `g1_kinematics.yaml`: the arms' chains start from here, and in `lwd_sim` the MJCF and the
URDF. No MuJoCo, no rclpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml


@dataclass(frozen=True, slots=True)
class KinematicJoint:
    """One joint of the published description. Lengths in m, angles in rad, URDF convention, axis = child's +z."""

    name: str
    type: str  # prismatic, revolute or fixed
    parent: str
    child: str
    xyz: tuple[float, float, float]
    rpy: tuple[float, float, float]
    lower: float = 0.0
    upper: float = 0.0
    effort: float = 0.0  # N or N*m
    velocity: float = 0.0  # m/s or rad/s


@cache
def g1_joints() -> dict[str, KinematicJoint]:
    """All joints of the G1 by name, in the file's order (parents before children within a chain)."""
    text = (resources.files('lwd_policy_node.kinematics') / 'g1_kinematics.yaml').read_text()
    joints = {}
    for item in yaml.safe_load(text)['joints']:
        xyz, rpy = tuple(item.pop('xyz')), tuple(item.pop('rpy'))
        joints[item['name']] = KinematicJoint(xyz=xyz, rpy=rpy, **item)
    return joints
