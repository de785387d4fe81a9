"""Conditions on a piece of text."""

from __future__ import annotations

from launch.condition import Condition
from launch.conditions.evaluate_condition_expression import evaluate_condition_expression
from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.utilities import normalize_to_list_of_substitutions


class IfCondition(Condition):
    """Holds if the text is true or 1."""

    def __init__(self, predicate_expression: SomeSubstitutionsType) -> None:
        self._expression = normalize_to_list_of_substitutions(predicate_expression)
        super().__init__(predicate=self._holds)

    def _holds(self, context: LaunchContext) -> bool:
        return evaluate_condition_expression(context, self._expression)

    def describe(self) -> str:
        """Return a short description."""
        parts = ' + '.join(part.describe() for part in self._expression)
        return f'{type(self).__name__}({parts})'


class UnlessCondition(IfCondition):
    """Holds if the text is false or 0."""

    def _holds(self, context: LaunchContext) -> bool:
        return not super()._holds(context)
