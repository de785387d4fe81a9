"""Where the robot's links are, and how to move its tools: the published joint facts, without MuJoCo."""

from lwd_policy_node.kinematics.joints import KinematicJoint, g1_joints

__all__ = ['KinematicJoint', 'g1_joints']
