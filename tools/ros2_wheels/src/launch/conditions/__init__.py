"""Conditions under which actions are executed."""

from launch._subset import reject_unknown
from launch.conditions.evaluate_condition_expression import (
    InvalidConditionExpressionError,
    evaluate_condition_expression,
)
from launch.conditions.if_condition import IfCondition, UnlessCondition
from launch.conditions.launch_configuration_equals import (
    LaunchConfigurationEquals,
    LaunchConfigurationNotEquals,
)

__all__ = [
    'IfCondition',
    'InvalidConditionExpressionError',
    'LaunchConfigurationEquals',
    'LaunchConfigurationNotEquals',
    'UnlessCondition',
    'evaluate_condition_expression',
]
__getattr__ = reject_unknown('launch.conditions', __all__)
