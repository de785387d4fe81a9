"""Declares an argument of a launch file."""

from __future__ import annotations

from launch import logging as launch_logging
from launch.action import Action
from launch.condition import Condition
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions


class DeclareLaunchArgument(Action):
    """Declares an argument; its value is the launch configuration of that name."""

    def __init__(
        self,
        name: str,
        *,
        default_value: SomeSubstitutionsType | None = None,
        description: str | None = None,
        choices: list[str] | None = None,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self._name = name
        self._default_value = (
            None if default_value is None else normalize_to_list_of_substitutions(default_value)
        )
        if choices is not None and not choices:
            raise RuntimeError(
                f"argument '{name}': choices is empty; use None where every value will do"
            )
        if choices is not None and isinstance(default_value, str) and default_value not in choices:
            raise RuntimeError(
                f'argument \'{name}\': provided default_value "{default_value}" is not in '
                f'provided choices {choices}'
            )
        self._choices = choices
        self._description = _describe(description, choices)
        self.conditionally_included = False  # set while arguments are collected

    @property
    def name(self) -> str:
        """The name."""
        return self._name

    @property
    def default_value(self) -> list[Substitution] | None:
        """The default, None if the argument is required."""
        return self._default_value

    @property
    def description(self) -> str:
        """The description, with the choices."""
        return self._description

    @property
    def choices(self) -> list[str] | None:
        """The valid values, None if every value will do."""
        return self._choices

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Set the configuration to the default if it is not set, and check its value.

        Raises:
            RuntimeError: The argument is required but not given, or not one of the choices.
        """
        configurations = context.launch_configurations
        logger = launch_logging.get_logger('launch')
        if self._name not in configurations:
            if self._default_value is None:
                logger.error(
                    f'Required launch argument "{self._name}" (description: '
                    f'"{self._description}") was not provided'
                )
                raise RuntimeError(f'Required launch argument "{self._name}" was not provided.')
            configurations[self._name] = perform_substitutions(context, self._default_value)
        value = configurations[self._name]
        if self._choices is not None and value not in self._choices:
            message = (
                f'Argument "{self._name}" provided value "{value}" is not valid. '
                f'Valid options are: {self._choices}'
            )
            logger.error(message)
            raise RuntimeError(message)
        return None


def _describe(description: str | None, choices: list[str] | None) -> str:
    if choices is None:
        return 'no description given' if description is None else description
    if description is None:
        return f'One of: {choices}'
    stop = '' if description.endswith('.') else '.'
    return f'{description}{stop} Valid choices are: {choices}'
