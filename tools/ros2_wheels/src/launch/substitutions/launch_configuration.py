"""The value of a launch configuration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.substitutions.substitution_failure import SubstitutionFailure
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions


class LaunchConfiguration(Substitution):
    """The value of a launch configuration, or a default."""

    def __init__(
        self, variable_name: SomeSubstitutionsType, *, default: Any | None = None
    ) -> None:
        self._variable_name = normalize_to_list_of_substitutions(variable_name)
        self._default: list[Substitution] | None = None
        if default is not None:
            items = default if isinstance(default, Iterable) else [default]
            if isinstance(default, (str, Substitution)):
                items = [default]
            self._default = normalize_to_list_of_substitutions(
                [item if isinstance(item, (str, Substitution)) else str(item) for item in items]
            )

    @property
    def variable_name(self) -> list[Substitution]:
        """The name of the configuration."""
        return self._variable_name

    def describe(self) -> str:
        """Return a short description."""
        return f'LaunchConfig({" + ".join(part.describe() for part in self._variable_name)})'

    def perform(self, context: LaunchContext) -> str:
        """Return the value.

        Raises:
            SubstitutionFailure: It is not set and there is no default.
        """
        name = perform_substitutions(context, self._variable_name)
        if name in context.launch_configurations:
            value: str = context.launch_configurations[name]
            return value
        if self._default is None:
            raise SubstitutionFailure(f"launch configuration '{name}' does not exist")
        return perform_substitutions(context, self._default)
