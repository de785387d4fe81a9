"""The robot profile: joints, limits, cameras and rates of one robot, the only place that states them."""

from lwd_policy_node.profile.policy_facts import policy_facts
from lwd_policy_node.profile.robot_profile import (
    Camera,
    Joint,
    ProfileError,
    RobotProfile,
    load_profile,
    profile_text,
)

__all__ = [
    'Camera',
    'Joint',
    'ProfileError',
    'RobotProfile',
    'load_profile',
    'policy_facts',
    'profile_text',
]
