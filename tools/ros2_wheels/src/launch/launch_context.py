"""The state that entities share while launching."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from launch.event import Event
from launch.event_handler import BaseEventHandler

if TYPE_CHECKING:
    from launch.substitution import Substitution


class Locals:
    """Read-only attribute access to the context's locals."""

    def __init__(self, values: dict[str, Any]) -> None:
        object.__setattr__(self, '_values', values)

    def __getattr__(self, key: str) -> Any:
        values: dict[str, Any] = object.__getattribute__(self, '_values')
        if key not in values:
            raise AttributeError(
                f"context.locals does not contain attribute '{key}', "
                f'it contains: [{", ".join(values)}]'
            )
        return values[key]

    def __setattr__(self, key: str, value: Any) -> None:
        raise AttributeError(f"can't set attribute '{key}', locals are read-only")


class LaunchContext:
    """Launch configurations, environment, locals, event queue and event handlers."""

    def __init__(self, *, argv: Iterable[str] | None = None, noninteractive: bool = False) -> None:
        self._argv = list(argv) if argv is not None else []
        self._noninteractive = noninteractive
        self._events: deque[Event] = deque()
        self._wake: Callable[[], None] | None = None  # set by the running LaunchService
        self._event_handlers: deque[BaseEventHandler] = deque()
        self._completion_futures: list[asyncio.Future[Any]] = []
        self._globals: dict[str, Any] = {}
        self._locals: dict[str, Any] = {}
        self._locals_stack: list[dict[str, Any]] = []
        self._configurations: dict[str, Any] = {}
        self._configurations_stack: list[dict[str, Any]] = []
        self._environment_stack: list[dict[str, str]] = []
        self._environment_at_start = dict(os.environ)
        self._is_shutdown = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.at_exit: list[Callable[[], None]] = []  # called when the service ends

    @property
    def argv(self) -> list[str]:
        """The launch arguments as given on the command line."""
        return self._argv

    @property
    def noninteractive(self) -> bool:
        """Whether there is no terminal whose Ctrl-C reaches the children."""
        return self._noninteractive

    @property
    def is_shutdown(self) -> bool:
        """Whether the launch is shutting down."""
        return self._is_shutdown

    @property
    def asyncio_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the running LaunchService."""
        if self._loop is None:
            raise RuntimeError('the LaunchService is not running: there is no asyncio loop')
        return self._loop

    @property
    def launch_configurations(self) -> dict[str, Any]:
        """The launch configurations of the current scope, by name."""
        return self._configurations

    @property
    def environment(self) -> MutableMapping[str, str]:
        """The environment that processes started now would get."""
        return os.environ

    @property
    def locals(self) -> Locals:
        """Values that belong to the event or file being handled, as attributes."""
        return Locals(self.get_locals_as_dict())

    def get_locals_as_dict(self) -> dict[str, Any]:
        """Return globals and locals, merged."""
        return {**self._globals, **self._locals}

    def extend_globals(self, extensions: dict[str, Any]) -> None:
        """Add values that stay for the whole launch."""
        self._globals.update(extensions)

    def extend_locals(self, extensions: dict[str, Any]) -> None:
        """Add values that stay while the current event is handled."""
        self._locals.update(extensions)

    def push_locals(self) -> None:
        """Open a scope for locals."""
        self._locals_stack.append(dict(self._locals))

    def pop_locals(self) -> None:
        """Close the innermost scope for locals."""
        self._locals = self._locals_stack.pop()

    def push_launch_configurations(self) -> None:
        """Open a scope for launch configurations; lists are copied, so none leak out of it."""
        self._configurations_stack.append(dict(self._configurations))
        self._configurations = {
            name: list(value) if isinstance(value, list) else value
            for name, value in self._configurations.items()
        }

    def pop_launch_configurations(self) -> None:
        """Close the innermost scope for launch configurations."""
        self._configurations = self._configurations_stack.pop()

    def push_environment(self) -> None:
        """Open a scope for environment variables."""
        self._environment_stack.append(dict(os.environ))

    def pop_environment(self) -> None:
        """Close the innermost scope for environment variables."""
        self._restore_environment(self._environment_stack.pop())

    def reset_environment(self) -> None:
        """Go back to the environment in which the launch began."""
        self._restore_environment(self._environment_at_start)

    @staticmethod
    def _restore_environment(environment: dict[str, str]) -> None:
        os.environ.clear()
        os.environ.update(environment)

    def add_completion_future(self, completion_future: asyncio.Future[Any]) -> None:
        """Make the LaunchService wait for one more future before it ends."""
        self._completion_futures.append(completion_future)
        if self._wake is not None:
            self._wake()

    def register_event_handler(
        self, event_handler: BaseEventHandler, append: bool = False
    ) -> None:
        """Add a handler, before the others unless `append`."""
        if append:
            self._event_handlers.append(event_handler)
        else:
            self._event_handlers.appendleft(event_handler)

    def unregister_event_handler(self, event_handler: BaseEventHandler) -> None:
        """Remove a handler."""
        self._event_handlers.remove(event_handler)

    def would_handle_event(self, event: Event) -> bool:
        """Return True if some handler matches the event."""
        return any(handler.matches(event) for handler in self._event_handlers)

    def emit_event_sync(self, event: Event) -> None:
        """Queue an event; from the loop's thread, or while the service is not running."""
        self._events.append(event)
        if self._wake is not None:
            self._wake()

    async def emit_event(self, event: Event) -> None:
        """Queue an event."""
        self.emit_event_sync(event)

    def perform_substitution(self, substitution: Substitution) -> str:
        """Return the text of a substitution."""
        return substitution.perform(self)
