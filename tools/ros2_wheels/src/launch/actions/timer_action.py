"""Defers actions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from launch.action import Action
from launch.condition import Condition
from launch.event import Event
from launch.event_handler import BaseEventHandler
from launch.events.shutdown import Shutdown
from launch.events.timer_event import TimerEvent
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.some_entities_type import SomeEntitiesType
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.utilities.typed_values import perform_bool, perform_float


class TimerAction(Action):
    """Yields actions once, `period` seconds later, unless it is cancelled.

    Args:
        period: Seconds.
        actions: The actions.
        cancel_on_shutdown: Whether the launch's shutdown cancels it.
        condition: When the timer is started.
    """

    def __init__(
        self,
        *,
        period: float | SomeSubstitutionsType,
        actions: Iterable[LaunchDescriptionEntity],
        cancel_on_shutdown: bool | SomeSubstitutionsType = True,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        if isinstance(period, int):  # ROS 2 refuses it too
            raise TypeError(f"TimerAction: 'period' must be a float or text, got the int {period}")
        self._period = period
        self._actions = list(actions)
        self._cancel_on_shutdown = cancel_on_shutdown
        self._cancelled = asyncio.Event()
        self._locals: dict[str, Any] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def actions(self) -> list[LaunchDescriptionEntity]:
        """The deferred actions."""
        return self._actions

    def describe_conditional_sub_entities(
        self,
    ) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        """Return the deferred actions."""
        return [(f'{self._period} seconds pass without being canceled', self._actions)]

    def cancel(self) -> None:
        """Stop waiting; nothing happens if the timer has run out."""
        self._cancelled.set()

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Start waiting."""
        if self._cancelled.is_set():
            return None
        period = perform_float(context, self._period)
        cancel_on_shutdown = perform_bool(context, self._cancel_on_shutdown)
        if context.is_shutdown and cancel_on_shutdown:
            return None
        self._locals = context.get_locals_as_dict()
        handler = _TimerHandler(self, cancel_on_shutdown)
        context.register_event_handler(handler)
        self._task = context.asyncio_loop.create_task(self._wait(context, period, handler))
        return None

    async def _wait(
        self, context: LaunchContext, period: float, handler: BaseEventHandler
    ) -> None:
        try:
            await asyncio.wait_for(self._cancelled.wait(), period)
        except TimeoutError:
            context.emit_event_sync(TimerEvent(timer_action=self))
        else:
            context.unregister_event_handler(handler)

    def yield_actions(self, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        """Return the actions, with the locals of the moment when the timer was started."""
        context.extend_locals(self._locals)
        return self._actions

    def get_asyncio_future(self) -> asyncio.Future[Any] | None:
        """Return the wait."""
        return self._task


class _TimerHandler(BaseEventHandler):
    """Yields a timer's actions when it runs out, and cancels it at shutdown."""

    def __init__(self, timer: TimerAction, cancel_on_shutdown: bool) -> None:
        super().__init__(
            matcher=lambda event: (
                event.timer_action is timer
                if isinstance(event, TimerEvent)
                else cancel_on_shutdown and isinstance(event, Shutdown)
            )
        )
        self._timer = timer

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        super().handle(event, context)
        if isinstance(event, Shutdown):
            self._timer.cancel()
            return None
        context.unregister_event_handler(self)
        return self._timer.yield_actions(context)
