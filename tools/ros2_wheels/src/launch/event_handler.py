"""Handlers that turn an event into entities to visit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from launch.event import Event

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext
    from launch.some_entities_type import SomeEntitiesType


class BaseEventHandler:
    """Matches events; the event is `context.locals.event` for what the handler yields."""

    def __init__(self, *, matcher: Callable[[Any], bool], handle_once: bool = False) -> None:
        self._matcher = matcher
        self._handle_once = handle_once

    @property
    def handle_once(self) -> bool:
        """Whether the handler unregisters itself after its first event."""
        return self._handle_once

    def matches(self, event: Event) -> bool:
        """Return True if the handler wants the event."""
        return self._matcher(event)

    def describe(self) -> tuple[str, list[Any]]:
        """Return a description and the entities known beforehand."""
        return type(self).__name__, []

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        """Handle the event; subclasses call this first."""
        context.extend_locals({'event': event})
        if self._handle_once:
            context.unregister_event_handler(self)
        return None


class EventHandler(BaseEventHandler):
    """Yields fixed entities on each matching event."""

    def __init__(
        self,
        *,
        matcher: Callable[[Any], bool],
        entities: SomeEntitiesType | None = None,
        handle_once: bool = False,
    ) -> None:
        super().__init__(matcher=matcher, handle_once=handle_once)
        self._entities = entities

    @property
    def entities(self) -> SomeEntitiesType | None:
        """The entities yielded on a match."""
        return self._entities

    def describe(self) -> tuple[str, list[Any]]:
        """Return a description and the entities."""
        return type(self).__name__, as_entity_list(self._entities)

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        """Return the entities."""
        super().handle(event, context)
        return self._entities


def as_entity_list(entities: Any) -> list[Any]:
    """Return the entities as a list: nothing, one entity or an iterable of them."""
    from launch.launch_description_entity import LaunchDescriptionEntity

    if entities is None:
        return []
    if isinstance(entities, LaunchDescriptionEntity):
        return [entities]
    if isinstance(entities, (str, bytes)):
        raise TypeError(f'expected launch entities, got {entities!r}')
    found = [entity for entity in entities if entity is not None]
    for entity in found:
        if not isinstance(entity, LaunchDescriptionEntity):
            raise TypeError(
                f'expected a LaunchDescriptionEntity (an action), got {entity!r} '
                f'of type {type(entity).__name__}'
            )
    return found
