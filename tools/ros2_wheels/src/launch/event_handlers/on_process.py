"""Handlers of what processes do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from launch.event import Event
from launch.event_handlers.on_action_event_base import OnActionEventBase
from launch.events.process import ProcessExited, ProcessIO, ProcessStarted

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext

ProcessTarget = Any  # an ExecuteProcess action, a function on one, or None for any process


def _process_class() -> type:
    from launch.actions.execute_process import ExecuteProcess

    return ExecuteProcess


class OnProcessStart(OnActionEventBase):
    """Yields `on_start` (entities or a function of event and context) when a process starts."""

    def __init__(
        self, *, target_action: ProcessTarget = None, on_start: Any, handle_once: bool = False
    ) -> None:
        super().__init__(
            action_matcher=target_action,
            on_event=on_start,
            target_event_cls=ProcessStarted,
            target_action_cls=_process_class(),
            handle_once=handle_once,
        )


class OnProcessExit(OnActionEventBase):
    """Yields `on_exit` (entities or a function of event and context) when a process ends."""

    def __init__(
        self, *, target_action: ProcessTarget = None, on_exit: Any, handle_once: bool = False
    ) -> None:
        super().__init__(
            action_matcher=target_action,
            on_event=on_exit,
            target_event_cls=ProcessExited,
            target_action_cls=_process_class(),
            handle_once=handle_once,
        )


class OnProcessIO(OnActionEventBase):
    """Calls `on_stdout` or `on_stderr` with the event when a process writes."""

    def __init__(
        self,
        *,
        target_action: ProcessTarget = None,
        on_stdout: Callable[[ProcessIO], Any] | None = None,
        on_stderr: Callable[[ProcessIO], Any] | None = None,
        handle_once: bool = False,
    ) -> None:
        def on_event(event: Event, context: LaunchContext) -> Any:
            if isinstance(event, ProcessIO):
                function = on_stdout if event.from_stdout else on_stderr
                if function is not None:
                    return function(event)
            return None

        super().__init__(
            action_matcher=target_action,
            on_event=on_event,
            target_event_cls=ProcessIO,
            target_action_cls=_process_class(),
            handle_once=handle_once,
        )
