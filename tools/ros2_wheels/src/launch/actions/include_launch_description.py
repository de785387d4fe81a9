"""Includes another launch description."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from launch.action import Action
from launch.actions.set_launch_configuration import SetLaunchConfiguration
from launch.condition import Condition
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.launch_description_source import LaunchDescriptionSource
from launch.launch_description_sources import AnyLaunchDescriptionSource
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

_LOCALS = ('current_launch_file_path', 'current_launch_file_directory')


class IncludeLaunchDescription(Action):
    """Sets the arguments as launch configurations, then yields the description.

    As in ROS 2 an include has no scope of its own: what it sets stays set for what follows,
    unless it stands in a scoped GroupAction.
    """

    def __init__(
        self,
        launch_description_source: LaunchDescriptionSource | SomeSubstitutionsType,
        *,
        launch_arguments: Iterable[tuple[SomeSubstitutionsType, SomeSubstitutionsType]]
        | None = None,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        if not isinstance(launch_description_source, LaunchDescriptionSource):
            launch_description_source = AnyLaunchDescriptionSource(launch_description_source)
        self._source = launch_description_source
        self._launch_arguments = tuple(launch_arguments or ())

    @property
    def launch_description_source(self) -> LaunchDescriptionSource:
        """Where the description comes from."""
        return self._source

    @property
    def launch_arguments(
        self,
    ) -> tuple[tuple[SomeSubstitutionsType, SomeSubstitutionsType], ...]:
        """The arguments given to the description."""
        return self._launch_arguments

    def get_sub_entities(self) -> list[LaunchDescriptionEntity]:
        """Return the description if it can be loaded without launching."""
        description = self._source.try_get_launch_description_without_context()
        return [] if description is None else [description]

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Set the arguments and yield the description.

        Raises:
            RuntimeError: A required argument of the description is not given.
        """
        description = self._source.get_launch_description(context)
        path = Path(self._source.location)
        directory = str(path.absolute().parent) if path.exists() else self._source.location
        before = {name: context.get_locals_as_dict().get(name) for name in _LOCALS}
        context.extend_locals(dict(zip(_LOCALS, (str(path.absolute()), directory), strict=True)))
        self._check_required(context, description)
        setters = [SetLaunchConfiguration(name, value) for name, value in self._launch_arguments]
        return [*setters, description, _RestoreLaunchFile(before)]

    def _check_required(self, context: LaunchContext, description: LaunchDescription) -> None:
        given = _names(context, self._launch_arguments)
        found = description.get_launch_arguments_with_include_launch_description_actions()
        for argument, includes in found:
            if argument.conditionally_included or argument.default_value is not None:
                continue
            known = set(given)  # as in ROS 2: what is set already does not count
            for include in includes or []:
                known |= set(_names(context, include.launch_arguments))
            if argument.name not in known:
                raise RuntimeError(
                    f"Included launch description missing required argument '{argument.name}' "
                    f"(description: '{argument.description}'), given: [{', '.join(given)}]"
                )


class _RestoreLaunchFile(Action):
    """Puts back which launch file is the current one, after an include."""

    def __init__(self, before: dict[str, Any]) -> None:
        super().__init__()
        self._before = before

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        if self._before[_LOCALS[0]] is not None:
            context.extend_locals(self._before)
        return None


def _names(
    context: LaunchContext,
    arguments: Iterable[tuple[SomeSubstitutionsType, SomeSubstitutionsType]],
) -> list[str]:
    return [
        perform_substitutions(context, normalize_to_list_of_substitutions(name))
        for name, _ in arguments
    ]
