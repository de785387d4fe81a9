"""The policy model: images, joint state and instruction -> flow-matching action chunk. No rclpy.

Used by policy_node on the robot and by the learner and evaluation off it.
"""

from lwd_policy_node.policy.config import PolicyConfig, PolicyError, preset
from lwd_policy_node.policy.policy import Observation, Policy

__all__ = ['Observation', 'Policy', 'PolicyConfig', 'PolicyError', 'preset']
