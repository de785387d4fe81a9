"""Remappings for all nodes of a scope."""

from __future__ import annotations

from launch.action import Action
from launch.condition import Condition
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions


class SetRemap(Action):
    """Sets a remapping for nodes that follow in the scope; it goes before their own."""

    def __init__(
        self,
        src: SomeSubstitutionsType,
        dst: SomeSubstitutionsType,
        *,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self._src = normalize_to_list_of_substitutions(src)
        self._dst = normalize_to_list_of_substitutions(dst)

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Set it."""
        rule = (
            perform_substitutions(context, self._src),
            perform_substitutions(context, self._dst),
        )
        context.launch_configurations.setdefault('ros_remaps', []).append(rule)
        return None
