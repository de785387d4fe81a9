"""Actions that know ROS."""

from launch._subset import reject_unknown

from launch_ros.actions.node import Node
from launch_ros.actions.push_ros_namespace import PushROSNamespace, PushRosNamespace
from launch_ros.actions.set_parameter import (
    SetParameter,
    SetParametersFromFile,
    SetUseSimTime,
)
from launch_ros.actions.set_remap import SetRemap

__all__ = [
    'Node',
    'PushROSNamespace',
    'PushRosNamespace',
    'SetParameter',
    'SetParametersFromFile',
    'SetRemap',
    'SetUseSimTime',
]
__getattr__ = reject_unknown('launch_ros.actions', __all__)
