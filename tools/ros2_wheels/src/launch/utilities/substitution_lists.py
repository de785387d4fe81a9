"""Text given as strings and substitutions, as one list of substitutions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.substitution import Substitution

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext


def normalize_to_list_of_substitutions(value: Any) -> list[Substitution]:
    """Return `value` as a list of substitutions.

    Args:
        value: A string, a path, a substitution, or an iterable of those.

    Raises:
        TypeError: Something else was given.
    """
    from launch.substitutions.text_substitution import TextSubstitution

    if isinstance(value, Substitution):
        return [value]
    if isinstance(value, (str, Path)):
        return [TextSubstitution(text=str(value))]
    items = list(value) if isinstance(value, Iterable) else [value]
    for item in items:
        if not isinstance(item, (str, Path, Substitution)):
            raise TypeError(
                f'expected text, a Substitution or a list of those, got {value!r}: '
                f'{item!r} is of type {type(item).__name__}'
            )
    return [part for item in items for part in normalize_to_list_of_substitutions(item)]


def perform_substitutions(context: LaunchContext, substitutions: Iterable[Substitution]) -> str:
    """Return the concatenated text of the substitutions."""
    return ''.join(context.perform_substitution(part) for part in substitutions)
