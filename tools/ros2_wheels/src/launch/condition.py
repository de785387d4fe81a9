"""Base class of conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext


class Condition:
    """Decides whether an action is executed."""

    def __init__(self, *, predicate: Callable[[LaunchContext], bool] | None = None) -> None:
        self._predicate = predicate
        self._last_result: bool | None = None

    def describe(self) -> str:
        """Return a short description."""
        return repr(self)

    def evaluate(self, context: LaunchContext) -> bool:
        """Return True if the action is to be executed."""
        self._last_result = self._predicate(context) if self._predicate is not None else True
        return self._last_result
