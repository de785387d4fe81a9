"""A value of the context's locals."""

from __future__ import annotations

from launch.launch_context import LaunchContext
from launch.substitution import Substitution


class LocalSubstitution(Substitution):
    """The text of an expression on the context's locals, e.g. 'event.reason'."""

    def __init__(self, expression: str, *, description: str | None = None) -> None:
        self._expression = expression
        self._description = description

    @property
    def expression(self) -> str:
        """The expression."""
        return self._expression

    def describe(self) -> str:
        """Return a short description."""
        return f"LocalVar('{self._description or self._expression}')"

    def perform(self, context: LaunchContext) -> str:
        """Return the value as text."""
        return str(eval(self._expression, {}, context.get_locals_as_dict()))
