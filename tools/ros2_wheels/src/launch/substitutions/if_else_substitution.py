"""One of two texts."""

from __future__ import annotations

from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.substitutions.boolean_substitution import as_bool
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions


class IfElseSubstitution(Substitution):
    """`if_value` if the condition's text stands for true, else `else_value`."""

    def __init__(
        self,
        condition: SomeSubstitutionsType,
        if_value: SomeSubstitutionsType = '',
        else_value: SomeSubstitutionsType = '',
    ) -> None:
        if not if_value and not else_value:
            raise RuntimeError('IfElseSubstitution: one of if_value and else_value must be given')
        self._condition = normalize_to_list_of_substitutions(condition)
        self._if_value = normalize_to_list_of_substitutions(if_value)
        self._else_value = normalize_to_list_of_substitutions(else_value)

    def describe(self) -> str:
        """Return a short description."""
        parts = (
            ' + '.join(part.describe() for part in value)
            for value in (self._condition, self._if_value, self._else_value)
        )
        return f'IfElseSubstitution({", ".join(parts)})'

    def perform(self, context: LaunchContext) -> str:
        """Return the chosen text."""
        chosen = self._if_value if as_bool(context, self._condition) else self._else_value
        return perform_substitutions(context, chosen)
