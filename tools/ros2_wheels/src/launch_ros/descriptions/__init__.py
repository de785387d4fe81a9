"""Descriptions of parameters."""

from launch._subset import reject_unknown

from launch_ros.parameter_descriptions import Parameter, ParameterFile, ParameterValue

__all__ = ['Parameter', 'ParameterFile', 'ParameterValue']
__getattr__ = reject_unknown('launch_ros.descriptions', __all__)
