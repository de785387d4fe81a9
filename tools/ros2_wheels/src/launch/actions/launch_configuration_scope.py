"""Opens and closes scopes of launch configurations and environment variables."""

from __future__ import annotations

from collections.abc import Mapping

from launch.action import Action
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions


class PushLaunchConfigurations(Action):
    """Opens a scope of launch configurations."""

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Open it."""
        context.push_launch_configurations()
        return None


class PopLaunchConfigurations(Action):
    """Closes the innermost scope of launch configurations."""

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Close it."""
        context.pop_launch_configurations()
        return None


class ResetLaunchConfigurations(Action):
    """Removes all launch configurations but those given, evaluated beforehand."""

    def __init__(
        self,
        launch_configurations: Mapping[SomeSubstitutionsType, SomeSubstitutionsType] | None = None,
    ) -> None:
        super().__init__()
        self._kept = [
            (normalize_to_list_of_substitutions(name), normalize_to_list_of_substitutions(value))
            for name, value in (launch_configurations or {}).items()
        ]

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Remove them."""
        kept = {
            perform_substitutions(context, name): perform_substitutions(context, value)
            for name, value in self._kept
        }
        context.launch_configurations.clear()
        context.launch_configurations.update(kept)
        return None


class PushEnvironment(Action):
    """Opens a scope of environment variables."""

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Open it."""
        context.push_environment()
        return None


class PopEnvironment(Action):
    """Closes the innermost scope of environment variables."""

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Close it."""
        context.pop_environment()
        return None


class ResetEnvironment(Action):
    """Goes back to the environment in which the launch began."""

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Go back."""
        context.reset_environment()
        return None
