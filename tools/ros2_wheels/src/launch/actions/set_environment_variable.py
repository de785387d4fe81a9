"""Sets, extends and unsets environment variables."""

from __future__ import annotations

import os

from launch.action import Action
from launch.condition import Condition
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from launch.utilities.typed_values import perform_bool


class SetEnvironmentVariable(Action):
    """Sets a variable for processes that start later in the current scope."""

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
        context.environment[name] = perform_substitutions(context, self._value)
        return None


class UnsetEnvironmentVariable(Action):
    """Removes a variable for processes that start later in the current scope."""

    def __init__(self, name: SomeSubstitutionsType, *, condition: Condition | None = None) -> None:
        super().__init__(condition=condition)
        self._name = normalize_to_list_of_substitutions(name)

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Remove it, if it is there."""
        context.environment.pop(perform_substitutions(context, self._name), None)
        return None


class AppendEnvironmentVariable(Action):
    """Appends (or prepends) to a variable, with a separator."""

    def __init__(
        self,
        name: SomeSubstitutionsType,
        value: SomeSubstitutionsType,
        prepend: bool | SomeSubstitutionsType = False,
        separator: SomeSubstitutionsType = os.pathsep,
        *,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self._name = normalize_to_list_of_substitutions(name)
        self._value = normalize_to_list_of_substitutions(value)
        self._prepend = prepend
        self._separator = normalize_to_list_of_substitutions(separator)

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Extend it."""
        name = perform_substitutions(context, self._name)
        parts = [perform_substitutions(context, self._value)]
        if name in context.environment:
            front = perform_bool(context, self._prepend)
            parts.insert(1 if front else 0, context.environment[name])
        context.environment[name] = perform_substitutions(context, self._separator).join(parts)
        return None
