"""Substitutions that know ROS packages."""

from launch._subset import reject_unknown

from launch_ros.substitutions.find_package import (
    ExecutableInPackage,
    FindPackagePrefix,
    FindPackageShare,
)

__all__ = ['ExecutableInPackage', 'FindPackagePrefix', 'FindPackageShare']
__getattr__ = reject_unknown('launch_ros.substitutions', __all__)
