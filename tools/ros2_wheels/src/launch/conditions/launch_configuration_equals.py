"""Conditions on the value of a launch configuration."""

from __future__ import annotations

import warnings

from launch.condition import Condition
from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions


class LaunchConfigurationEquals(Condition):
    """Holds if the configuration has the value; None: if it is not set. Deprecated in ROS 2."""

    def __init__(
        self,
        launch_configuration_name: str,
        expected_value: SomeSubstitutionsType | None,
    ) -> None:
        warnings.warn(
            f'{type(self).__name__} is deprecated: use IfCondition with EqualsSubstitution or '
            'NotEqualsSubstitution',
            UserWarning,
            stacklevel=2,
        )
        self._name = launch_configuration_name
        self._expected = (
            None if expected_value is None else normalize_to_list_of_substitutions(expected_value)
        )
        super().__init__(predicate=self._holds)

    def _holds(self, context: LaunchContext) -> bool:
        expected = (
            None if self._expected is None else perform_substitutions(context, self._expected)
        )
        return context.launch_configurations.get(self._name) == expected


class LaunchConfigurationNotEquals(LaunchConfigurationEquals):
    """Holds if the configuration has another value. Deprecated in ROS 2."""

    def _holds(self, context: LaunchContext) -> bool:
        return not super()._holds(context)
