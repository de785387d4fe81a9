"""Path components, joined."""

from __future__ import annotations

import os
from collections.abc import Iterable

from launch.launch_context import LaunchContext
from launch.substitution import Substitution
from launch.utilities import normalize_to_list_of_substitutions


class PathJoinSubstitution(Substitution):
    """Path components, joined with the separator of the system."""

    def __init__(self, substitutions: Iterable[str | Substitution]) -> None:
        self._substitutions = normalize_to_list_of_substitutions(substitutions)

    @property
    def substitutions(self) -> list[Substitution]:
        """The components."""
        return self._substitutions

    def describe(self) -> str:
        """Return a short description."""
        return f"PathJoin('{' + '.join(part.describe() for part in self._substitutions)}')"

    def perform(self, context: LaunchContext) -> str:
        """Return the path."""
        return os.path.join(*(part.perform(context) for part in self._substitutions))  # noqa: PTH118
