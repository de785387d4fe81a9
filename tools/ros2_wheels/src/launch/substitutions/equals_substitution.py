"""Comparison of text."""

from __future__ import annotations

import math
from typing import Any

from launch.launch_context import LaunchContext
from launch.substitution import Substitution
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

_BOOLEANS = {'true': True, '1': True, 'false': False, '0': False}


def _as_list(value: Any) -> list[Substitution]:
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, (int, float)):
        value = str(value)
    return normalize_to_list_of_substitutions('' if value is None else value)


def _same(left: str, right: str) -> bool:
    """Compare as booleans, else as numbers (closely), else as text."""
    if left.lower() in _BOOLEANS and right.lower() in _BOOLEANS:
        return _BOOLEANS[left.lower()] == _BOOLEANS[right.lower()]
    try:
        return math.isclose(float(left), float(right))
    except ValueError:
        return left == right


class EqualsSubstitution(Substitution):
    """'true' if both texts stand for the same."""

    def __init__(self, left: Any, right: Any) -> None:
        self._left = _as_list(left)
        self._right = _as_list(right)

    @property
    def left(self) -> list[Substitution]:
        """The left side."""
        return self._left

    @property
    def right(self) -> list[Substitution]:
        """The right side."""
        return self._right

    def describe(self) -> str:
        """Return a short description."""
        left = ' + '.join(part.describe() for part in self._left)
        right = ' + '.join(part.describe() for part in self._right)
        return f'{type(self).__name__}({left} {right})'

    def perform(self, context: LaunchContext) -> str:
        """Return 'true' or 'false'."""
        return str(self._evaluate(context)).lower()

    def _evaluate(self, context: LaunchContext) -> bool:
        return _same(
            perform_substitutions(context, self._left),
            perform_substitutions(context, self._right),
        )


class NotEqualsSubstitution(EqualsSubstitution):
    """'true' if the texts stand for different things."""

    def _evaluate(self, context: LaunchContext) -> bool:
        return not super()._evaluate(context)
