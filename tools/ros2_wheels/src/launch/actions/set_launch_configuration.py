"""Sets and unsets launch configurations."""

from __future__ import annotations

from launch.action import Action
from launch.condition import Condition
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions


class SetLaunchConfiguration(Action):
    """Sets a launch configuration in the current scope."""

    def __init__(
        self,
        name: SomeSubstitutionsType,
        value: SomeSubstitutionsType,
        *,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self._name = normalize_to_list_of_substitutions(name)
        self._value = normalize_to_list_of_substitutions(value)

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Set it."""
        name = perform_substitutions(context, self._name)
        context.launch_configurations[name] = perform_substitutions(context, self._value)
        return None


class UnsetLaunchConfiguration(Action):
    """Removes a launch configuration from the current scope."""

    def __init__(self, name: SomeSubstitutionsType, *, condition: Condition | None = None) -> None:
        super().__init__(condition=condition)
        self._name = normalize_to_list_of_substitutions(name)

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Remove it, if it is there."""
        context.launch_configurations.pop(perform_substitutions(context, self._name), None)
        return None
