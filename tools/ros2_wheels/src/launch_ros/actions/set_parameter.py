"""Parameters for all nodes of a scope."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launch.action import Action
from launch.condition import Condition
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

from launch_ros.parameters import evaluate_parameters


class SetParameter(Action):
    """Sets a parameter for nodes that follow in the scope; their own parameters win."""

    def __init__(
        self, name: SomeSubstitutionsType, value: Any, *, condition: Condition | None = None
    ) -> None:
        super().__init__(condition=condition)
        self._name = normalize_to_list_of_substitutions(name)
        self._value = value

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Set it."""
        name = perform_substitutions(context, self._name)
        values = evaluate_parameters(context, {name: self._value})
        context.launch_configurations.setdefault('global_params', []).extend(values.items())
        return None


class SetUseSimTime(SetParameter):
    """Sets use_sim_time for nodes that follow in the scope."""

    def __init__(self, value: Any, *, condition: Condition | None = None) -> None:
        super().__init__('use_sim_time', value, condition=condition)


class SetParametersFromFile(Action):
    """Gives a parameter file to nodes that follow in the scope; their own parameters win."""

    def __init__(
        self, filename: SomeSubstitutionsType, *, condition: Condition | None = None
    ) -> None:
        super().__init__(condition=condition)
        self._filename = normalize_to_list_of_substitutions(filename)

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Give it."""
        path = Path(perform_substitutions(context, self._filename)).absolute()
        context.launch_configurations.setdefault('global_params', []).append(path)
        return None
