"""Groups actions, with a scope of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from launch.action import Action
from launch.actions.launch_configuration_scope import (
    PopEnvironment,
    PopLaunchConfigurations,
    PushEnvironment,
    PushLaunchConfigurations,
    ResetEnvironment,
    ResetLaunchConfigurations,
)
from launch.actions.set_launch_configuration import SetLaunchConfiguration
from launch.condition import Condition
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.some_substitutions_type import SomeSubstitutionsType


class GroupAction(Action):
    """Yields actions.

    Args:
        actions: The actions.
        scoped: Whether launch configurations and environment are put back after the group.
        forwarding: Whether a scoped group begins with the configurations and environment around
            it, and not with none and the ones at the start.
        launch_configurations: Configurations set for the group.
        condition: When the group is executed.
    """

    def __init__(
        self,
        actions: Iterable[LaunchDescriptionEntity],
        *,
        scoped: bool = True,
        forwarding: bool = True,
        launch_configurations: Mapping[SomeSubstitutionsType, SomeSubstitutionsType] | None = None,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self._actions = list(actions)
        self._scoped = scoped
        self._forwarding = forwarding
        self._launch_configurations = dict(launch_configurations or {})

    def get_sub_entities(self) -> list[LaunchDescriptionEntity]:
        """Return the actions, between those that open and close the scope."""
        setters = [
            SetLaunchConfiguration(name, value)
            for name, value in self._launch_configurations.items()
        ]
        if not self._scoped:
            return [*setters, *self._actions]
        begin: list[LaunchDescriptionEntity] = [PushLaunchConfigurations(), PushEnvironment()]
        if self._forwarding:
            begin += setters
        else:
            begin += [ResetEnvironment(), ResetLaunchConfigurations(self._launch_configurations)]
        return [*begin, *self._actions, PopEnvironment(), PopLaunchConfigurations()]

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Yield the actions."""
        return self.get_sub_entities()
