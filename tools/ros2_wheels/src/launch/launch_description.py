"""The description of a system to launch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from launch import logging as launch_logging
from launch.action import Action
from launch.launch_description_entity import LaunchDescriptionEntity

if TYPE_CHECKING:
    from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
    from launch.launch_context import LaunchContext

DeclaredArgument = tuple['DeclareLaunchArgument', 'list[IncludeLaunchDescription] | None']


class LaunchDescription(LaunchDescriptionEntity):
    """A list of entities, visited in order."""

    def __init__(
        self,
        initial_entities: Iterable[LaunchDescriptionEntity] | None = None,
        *,
        deprecated_reason: str | None = None,
    ) -> None:
        self._entities = list(initial_entities) if initial_entities is not None else []
        self._deprecated_reason = deprecated_reason

    @property
    def entities(self) -> list[LaunchDescriptionEntity]:
        """The entities, in order."""
        return self._entities

    @property
    def deprecated(self) -> bool:
        """Whether a reason for deprecation was given."""
        return self._deprecated_reason is not None

    @property
    def deprecated_reason(self) -> str | None:
        """Why the description is deprecated, or None."""
        return self._deprecated_reason

    def add_entity(self, entity: LaunchDescriptionEntity) -> None:
        """Append an entity."""
        self._entities.append(entity)

    def add_action(self, action: Action) -> None:
        """Append an action."""
        self.add_entity(action)

    def visit(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Yield the entities."""
        if self._deprecated_reason is not None:
            path = context.get_locals_as_dict().get('current_launch_file_path')
            subject = 'launch description' if path is None else f'launch file [{path}]'
            launch_logging.get_logger('launch').warning(
                f'{subject} is deprecated: {self._deprecated_reason}'
            )
        return self._entities

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        """Return the entities."""
        return self._entities

    def get_launch_arguments(
        self, conditional_inclusion: bool = False
    ) -> list[DeclareLaunchArgument]:
        """Return the declared arguments, also those of files included by a constant path."""
        found = self.get_launch_arguments_with_include_launch_description_actions(
            conditional_inclusion
        )
        return [argument for argument, _ in found]

    def get_launch_arguments_with_include_launch_description_actions(
        self, conditional_inclusion: bool = False
    ) -> list[DeclaredArgument]:
        """Return the declared arguments with the includes that lead to each (None: here).

        The first declaration of a name counts.
        """
        from launch.actions.declare_launch_argument import DeclareLaunchArgument
        from launch.actions.include_launch_description import IncludeLaunchDescription
        from launch.actions.launch_configuration_scope import ResetLaunchConfigurations

        declared: dict[str, DeclaredArgument] = {}

        def search(
            entities: Iterable[LaunchDescriptionEntity],
            conditional: bool,
            includes: list[IncludeLaunchDescription] | None,
        ) -> None:
            for entity in entities:
                if isinstance(entity, ResetLaunchConfigurations):
                    return  # arguments declared below cannot be set from the top
                if isinstance(entity, DeclareLaunchArgument):
                    if entity.name not in declared:
                        entity.conditionally_included = conditional or entity.condition is not None
                        declared[entity.name] = (entity, includes)
                    continue
                below = includes
                if isinstance(entity, IncludeLaunchDescription):
                    below = [*(includes or []), entity]
                search(entity.describe_sub_entities(), conditional, below)
                for _, sub_entities in entity.describe_conditional_sub_entities():
                    search(sub_entities, True, below)

        search(self._entities, conditional_inclusion, None)
        return list(declared.values())
