"""Where the robot's links are, and how to move its tools: the published joint facts, without MuJoCo."""

from lwd_policy_node.kinematics.chain import (
    ARM_BASE,
    BASE,
    TOOLS,
    Chain,
    Pose,
    rotated,
    rotation_vector,
)
from lwd_policy_node.kinematics.inverse import DampedIk, IkSolution
from lwd_policy_node.kinematics.joints import KinematicJoint, g1_joints

__all__ = [
    'ARM_BASE',
    'BASE',
    'TOOLS',
    'Chain',
    'DampedIk',
    'IkSolution',
    'KinematicJoint',
    'Pose',
    'g1_joints',
    'rotated',
    'rotation_vector',
]
