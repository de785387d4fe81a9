"""What handlers of events with a source action share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from launch.event import Event
from launch.event_handler import BaseEventHandler, as_entity_list

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext
    from launch.some_entities_type import SomeEntitiesType


class OnActionEventBase(BaseEventHandler):
    """Handles events of a class that come from an action, a matching one, or any."""

    def __init__(
        self,
        *,
        action_matcher: Any,
        on_event: Any,
        target_event_cls: type[Event],
        target_action_cls: type,
        handle_once: bool = False,
    ) -> None:
        if action_matcher is not None and not (
            isinstance(action_matcher, target_action_cls) or callable(action_matcher)
        ):
            raise TypeError(
                f'{type(self).__name__}: the target must be an {target_action_cls.__name__} '
                f'action or a function on one, got {action_matcher!r}'
            )

        def matcher(event: Event) -> bool:
            if not isinstance(event, target_event_cls):
                return False
            if action_matcher is None:
                return True
            source = getattr(event, 'action', None)
            if isinstance(action_matcher, target_action_cls):
                return source is action_matcher
            return bool(action_matcher(source))

        super().__init__(matcher=matcher, handle_once=handle_once)
        self._function: Callable[[Any, LaunchContext], Any] | None = None
        self._entities: list[Any] = []
        if callable(on_event):
            self._function = on_event
        else:
            self._entities = as_entity_list(on_event)

    def describe(self) -> tuple[str, list[Any]]:
        """Return a description and the entities known beforehand."""
        return type(self).__name__, list(self._entities)

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        """Return the entities, or what the function returns for (event, context)."""
        super().handle(event, context)
        if self._function is not None:
            result: SomeEntitiesType | None = self._function(event, context)
            return result
        return self._entities
