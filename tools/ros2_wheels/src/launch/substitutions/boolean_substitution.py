"""Logic on text that stands for booleans."""

from __future__ import annotations

from collections.abc import Iterable

from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.substitutions.substitution_failure import SubstitutionFailure
from launch.utilities import normalize_to_list_of_substitutions
from launch.utilities.typed_values import perform_bool


def as_bool(context: LaunchContext, value: list[Substitution]) -> bool:
    """Return the boolean that the text stands for.

    Raises:
        SubstitutionFailure: It stands for none.
    """
    try:
        return perform_bool(context, value)
    except (TypeError, ValueError) as error:
        raise SubstitutionFailure(str(error)) from error


class _Logic(Substitution):
    def __init__(self, values: Iterable[SomeSubstitutionsType]) -> None:
        self._values = [normalize_to_list_of_substitutions(value) for value in values]

    def describe(self) -> str:
        """Return a short description."""
        parts = (' + '.join(part.describe() for part in value) for value in self._values)
        return f'{type(self).__name__}({" ".join(parts)})'

    def perform(self, context: LaunchContext) -> str:
        """Return 'true' or 'false'."""
        # Every operand is evaluated: one that is not a boolean is an error, never skipped.
        return str(self._combine([as_bool(context, value) for value in self._values])).lower()

    def _combine(self, values: list[bool]) -> bool:
        raise NotImplementedError


class NotSubstitution(_Logic):
    """'true' if the value is false."""

    def __init__(self, value: SomeSubstitutionsType) -> None:
        super().__init__([value])

    def _combine(self, values: list[bool]) -> bool:
        return not values[0]


class AndSubstitution(_Logic):
    """'true' if both are true."""

    def __init__(self, left: SomeSubstitutionsType, right: SomeSubstitutionsType) -> None:
        super().__init__([left, right])

    def _combine(self, values: list[bool]) -> bool:
        return all(values)


class OrSubstitution(_Logic):
    """'true' if either is true."""

    def __init__(self, left: SomeSubstitutionsType, right: SomeSubstitutionsType) -> None:
        super().__init__([left, right])

    def _combine(self, values: list[bool]) -> bool:
        return any(values)


class AllSubstitution(_Logic):
    """'true' if all are true."""

    def __init__(self, *args: SomeSubstitutionsType) -> None:
        super().__init__(args)

    def _combine(self, values: list[bool]) -> bool:
        return all(values)


class AnySubstitution(_Logic):
    """'true' if any is true."""

    def __init__(self, *args: SomeSubstitutionsType) -> None:
        super().__init__(args)

    def _combine(self, values: list[bool]) -> bool:
        return any(values)
