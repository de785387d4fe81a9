"""Text that decides a condition."""

from __future__ import annotations

from launch.launch_context import LaunchContext
from launch.substitution import Substitution
from launch.utilities import perform_substitutions


class InvalidConditionExpressionError(ValueError):
    """The text of a condition stands neither for true nor for false."""


def evaluate_condition_expression(context: LaunchContext, expression: list[Substitution]) -> bool:
    """Return True for 'true' and '1', False for 'false' and '0', in any case.

    Raises:
        InvalidConditionExpressionError: The text is something else.
    """
    text = perform_substitutions(context, expression).strip().lower()
    if text in ('true', '1'):
        return True
    if text in ('false', '0'):
        return False
    source = ' + '.join(part.describe() for part in expression)
    raise InvalidConditionExpressionError(
        f"invalid condition expression: expanded '{source}' to '{text}', "
        "expected one of 'true', '1', 'false', '0'"
    )
