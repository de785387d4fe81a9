"""Runs launch descriptions."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from launch import logging as launch_logging
from launch.event import Event
from launch.event_handler import EventHandler, as_entity_list
from launch.event_handlers import OnShutdown
from launch.events import IncludeLaunchDescription, Shutdown
from launch.events.process import SignalProcess
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.launch_description_entity import LaunchDescriptionEntity


class _IncludeHandler(EventHandler):
    """Visits the description of an IncludeLaunchDescription event."""

    def __init__(self) -> None:
        super().__init__(matcher=lambda event: isinstance(event, IncludeLaunchDescription))

    def handle(self, event: Event, context: LaunchContext) -> LaunchDescription | None:
        super().handle(event, context)
        return event.launch_description if isinstance(event, IncludeLaunchDescription) else None


class LaunchService:
    """Visits descriptions, handles events, and ends all processes at the end.

    Args:
        argv: Launch arguments as given on the command line.
        noninteractive: Whether there is no terminal whose Ctrl-C reaches the processes.
        debug: Whether debug messages are logged.
    """

    def __init__(
        self,
        *,
        argv: Iterable[str] | None = None,
        noninteractive: bool = False,
        debug: bool = False,
    ) -> None:
        launch_logging.launch_config.level = logging.DEBUG if debug else logging.INFO
        self._debug = debug
        self._logger = launch_logging.get_logger('launch')
        self._context = LaunchContext(argv=argv, noninteractive=noninteractive)
        self._context.register_event_handler(_IncludeHandler())
        self._context.register_event_handler(OnShutdown(on_shutdown=self._on_shutdown))
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._futures: list[asyncio.Future[Any]] = []
        self._changed = asyncio.Event()
        self._shutting_down = False
        self._interrupts = 0
        self._return_code = 0

    @property
    def context(self) -> LaunchContext:
        """The context."""
        return self._context

    @property
    def event_loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop while the service runs."""
        return self._loop

    @property
    def task(self) -> asyncio.Task[Any] | None:
        """The task that runs the service."""
        return self._task

    def include_launch_description(self, launch_description: LaunchDescription) -> None:
        """Visit a description once the service runs; may be called from any thread."""
        self.emit_event(IncludeLaunchDescription(launch_description))

    def emit_event(self, event: Event) -> None:
        """Queue an event; may be called from any thread."""
        with self._lock:
            if self._loop is None:
                self._context.emit_event_sync(event)
            else:
                self._loop.call_soon_threadsafe(self._context.emit_event_sync, event)

    def shutdown(self, force_sync: bool = False) -> None:
        """End the launch; may be called from any thread, does nothing unless it runs."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(
                    lambda: self._shut_down('LaunchService.shutdown() called')
                )

    def run(self, *, shutdown_when_idle: bool = True) -> int:
        """Run until everything has ended.

        Returns:
            0, or 1 if an action failed or the launch was terminated.
        """
        return asyncio.run(self.run_async(shutdown_when_idle=shutdown_when_idle))

    async def run_async(self, *, shutdown_when_idle: bool = True) -> int:
        """Run until everything has ended, in a running loop of the main thread.

        Returns:
            0, or 1 if an action failed or the launch was terminated.
        """
        with self._running():
            launch_logging.log_launch_config(logger=self._logger)
            while True:
                try:
                    if not await self._step(shutdown_when_idle):
                        return self._return_code
                except asyncio.CancelledError:
                    self._logger.error('run task was canceled')
                    return 1
                except Exception as error:  # launch files may raise anything: say it and end
                    self._fail(error)

    async def _step(self, shutdown_when_idle: bool) -> bool:
        """Handle one event, or wait for something to happen; False at the end."""
        if self._context._events:
            self._process(self._context._events.popleft())
            await asyncio.sleep(0)  # processes and signals have their turn between events
            return True
        self._changed.clear()
        if self._prune():
            await self._changed.wait()
            return True
        if self._shutting_down:
            return False
        if shutdown_when_idle:
            self._shut_down('idle')
        else:
            await self._changed.wait()
        return True

    def _process(self, event: Event) -> None:
        self._logger.debug(f"processing event: '{event}'")
        for handler in tuple(self._context._event_handlers):
            if handler.matches(event):
                self._context.push_locals()
                try:
                    for entity in as_entity_list(handler.handle(event, self._context)):
                        self._visit(entity)
                finally:
                    self._context.pop_locals()

    def _visit(self, entity: LaunchDescriptionEntity) -> None:
        entities = entity.visit(self._context)
        future = entity.get_asyncio_future()
        if future is not None and future not in self._futures:
            self._watch(future)
        for sub_entity in as_entity_list(entities):
            self._visit(sub_entity)

    def _watch(self, future: asyncio.Future[Any]) -> None:
        self._futures.append(future)
        future.add_done_callback(lambda _: self._changed.set())

    def _prune(self) -> bool:
        """Forget finished work; True if some is left.

        Raises:
            Exception: What a piece of work raised.
        """
        for future in self._context._completion_futures:
            self._watch(future)
        self._context._completion_futures.clear()
        done = [future for future in self._futures if future.done()]
        self._futures = [future for future in self._futures if not future.done()]
        errors = [future.exception() for future in done if not future.cancelled()]
        for error in errors:
            if error is not None:
                raise error
        return bool(self._futures)

    def _fail(self, error: Exception) -> None:
        message = f'Caught exception in launch (see debug for traceback): {error}'
        self._logger.debug(traceback.format_exc())
        self._logger.error(message)
        self._return_code = 1
        self._shut_down(message)

    def _on_shutdown(self, event: Shutdown, context: LaunchContext) -> None:
        self._shutting_down = True
        context._is_shutdown = True

    def _shut_down(self, reason: str, *, due_to_sigint: bool = False) -> None:
        if not self._shutting_down:
            self._context.emit_event_sync(Shutdown(reason=reason, due_to_sigint=due_to_sigint))
            self._shutting_down = True
            self._context._is_shutdown = True

    def _on_sigint(self) -> None:
        self._interrupts += 1
        message = 'user interrupted with ctrl-c (SIGINT)'
        if self._interrupts == 1:
            self._logger.warning(message)
            self._shut_down('ctrl-c (SIGINT)', due_to_sigint=True)
            return
        self._logger.warning(f'{message} again, ignoring...')
        if not self._context.noninteractive:
            # A terminal would have sent it to the processes too, were they in its group.
            self._signal_all(signal.SIGINT)

    def _on_sigterm(self, signal_number: signal.Signals) -> None:
        self._return_code = 1
        if self._shutting_down and self._interrupts == 0:
            self._signal_all(signal.SIGKILL)
        self._logger.error(f'user interrupted with ctrl-\\ ({signal_number.name}), terminating...')
        self._shut_down(signal_number.name)

    def _signal_all(self, signal_number: signal.Signals) -> None:
        self._context.emit_event_sync(
            SignalProcess(signal_number=signal_number, process_matcher=lambda action: True)
        )

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Own the loop, the signals and the temporary files of one run."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError('LaunchService can only be run in the main thread.')
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._loop is not None:
                raise RuntimeError('LaunchService cannot be run multiple times concurrently.')
            self._loop = self._context._loop = loop
        self._task = asyncio.current_task(loop)
        self._context._wake = self._changed.set
        loop.set_debug(self._debug)
        previous = _handle_signals(
            loop,
            {
                signal.SIGINT: self._on_sigint,
                signal.SIGTERM: lambda: self._on_sigterm(signal.SIGTERM),
                signal.SIGQUIT: lambda: self._on_sigterm(signal.SIGQUIT),
            },
        )
        try:
            yield
        finally:
            for clean_up in self._context.at_exit:
                clean_up()
            self._context.at_exit.clear()
            for signal_number, handler in previous.items():
                loop.remove_signal_handler(signal_number)
                signal.signal(signal_number, handler)
            self._context._wake = None
            with self._lock:
                self._loop = self._context._loop = None
            self._shutting_down = False
            sys.stdout.flush()


def _handle_signals(
    loop: asyncio.AbstractEventLoop, handlers: dict[signal.Signals, Callable[[], None]]
) -> dict[signal.Signals, Any]:
    """Install handlers and return the previous ones."""
    previous: dict[signal.Signals, Any] = {}
    for signal_number, handler in handlers.items():
        previous[signal_number] = signal.getsignal(signal_number)
        loop.add_signal_handler(signal_number, handler)
    return previous
