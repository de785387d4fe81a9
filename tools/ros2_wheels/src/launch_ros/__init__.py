"""A subset of ROS 2's launch_ros, for machines that have ROS 2 from wheels."""

from launch._subset import reject_unknown

from launch_ros import actions, descriptions, parameter_descriptions, substitutions

__all__ = ['actions', 'descriptions', 'parameter_descriptions', 'substitutions']
__getattr__ = reject_unknown('launch_ros', __all__)
