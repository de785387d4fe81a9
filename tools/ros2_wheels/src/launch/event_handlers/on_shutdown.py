"""Handler of the launch's end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launch.event import Event
from launch.event_handler import BaseEventHandler, as_entity_list
from launch.events.shutdown import Shutdown

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext
    from launch.some_entities_type import SomeEntitiesType


class OnShutdown(BaseEventHandler):
    """Yields `on_shutdown` (entities or a function of event and context) at shutdown."""

    def __init__(self, *, on_shutdown: Any, handle_once: bool = False) -> None:
        super().__init__(
            matcher=lambda event: isinstance(event, Shutdown), handle_once=handle_once
        )
        self._on_shutdown = on_shutdown

    def describe(self) -> tuple[str, list[Any]]:
        """Return a description and the entities known beforehand."""
        known = [] if callable(self._on_shutdown) else as_entity_list(self._on_shutdown)
        return type(self).__name__, known

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        """Return the entities."""
        super().handle(event, context)
        if callable(self._on_shutdown):
            result: SomeEntitiesType | None = self._on_shutdown(event, context)
            return result
        return as_entity_list(self._on_shutdown)
