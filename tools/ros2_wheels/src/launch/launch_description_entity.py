"""Base class of everything that a launch description may hold."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext


class LaunchDescriptionEntity:
    """Something that can be described before and visited during a launch."""

    def describe(self) -> str:
        """Return a short description."""
        return repr(self)

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        """Return the entities that a visit always yields."""
        return []

    def describe_conditional_sub_entities(
        self,
    ) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        """Return (condition in words, entities) pairs that a visit may yield."""
        return []

    def visit(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Do the work of the entity and return the entities to visit next."""
        return None

    def get_asyncio_future(self) -> asyncio.Future[Any] | None:
        """Return the future that is done when the entity's work is, or None."""
        return None
