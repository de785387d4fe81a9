"""Registers and unregisters event handlers."""

from __future__ import annotations

from collections.abc import Iterable

from launch.action import Action
from launch.condition import Condition
from launch.event_handler import BaseEventHandler
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity


class RegisterEventHandler(Action):
    """Registers a handler; events already being handled do not reach it."""

    def __init__(
        self, event_handler: BaseEventHandler, *, condition: Condition | None = None
    ) -> None:
        super().__init__(condition=condition)
        if not isinstance(event_handler, BaseEventHandler):
            raise TypeError(f'RegisterEventHandler expected an event handler, got {event_handler}')
        self._event_handler = event_handler

    @property
    def event_handler(self) -> BaseEventHandler:
        """The handler."""
        return self._event_handler

    def describe_conditional_sub_entities(
        self,
    ) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        """Return what the handler may yield."""
        text, entities = self._event_handler.describe()
        return [(text, entities)] if entities else []

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Register it."""
        context.register_event_handler(self._event_handler)
        return None


class UnregisterEventHandler(Action):
    """Unregisters a handler."""

    def __init__(
        self, event_handler: BaseEventHandler, *, condition: Condition | None = None
    ) -> None:
        super().__init__(condition=condition)
        self._event_handler = event_handler

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Unregister it."""
        context.unregister_event_handler(self._event_handler)
        return None
