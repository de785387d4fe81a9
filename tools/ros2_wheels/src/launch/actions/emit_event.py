"""Emits events."""

from __future__ import annotations

from launch import logging as launch_logging
from launch.action import Action
from launch.condition import Condition
from launch.event import Event
from launch.events.process import ProcessExited
from launch.events.shutdown import Shutdown as ShutdownEvent
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity


class EmitEvent(Action):
    """Emits an event when it is executed."""

    def __init__(self, *, event: Event, condition: Condition | None = None) -> None:
        super().__init__(condition=condition)
        if not isinstance(event, Event):
            raise TypeError(f'EmitEvent expected an Event, got {event!r}')
        self._event = event

    @property
    def event(self) -> Event:
        """The event."""
        return self._event

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Emit it."""
        context.emit_event_sync(self._event)
        return None


class Shutdown(EmitEvent):
    """Ends the launch when it is executed."""

    def __init__(
        self, *, reason: str = 'reason not given', condition: Condition | None = None
    ) -> None:
        super().__init__(event=ShutdownEvent(reason=reason), condition=condition)

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Emit the event; if a process's end led here, say which."""
        event = context.get_locals_as_dict().get('event')
        if isinstance(event, ProcessExited):
            launch_logging.get_logger('launch').info(
                f'process[{event.process_name}] was required: shutting down launched system'
            )
        return super().execute(context)
