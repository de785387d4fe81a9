"""Runs a command until the launch ends: start, respawn, stop, and the messages on the way."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launch import logging as launch_logging
from launch._process.child_process import ChildProcess
from launch._process.output_reader import LineSplitter
from launch.events.process import ProcessExited, ProcessStarted, ProcessStderr, ProcessStdout

if TYPE_CHECKING:
    import logging

    from launch.action import Action
    from launch.launch_context import LaunchContext


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """How to run a command, all substitutions performed."""

    name: str
    cmd: list[str]
    cwd: str | None
    env: Mapping[str, str]
    shell: bool
    emulate_tty: bool
    output: Any
    output_format: str
    sigterm_timeout: str
    sigkill_timeout: str
    respawn: bool
    respawn_delay_s: float
    respawn_max_retries: int
    log_cmd: bool
    cached_output: bool


class Supervisor:
    """Keeps one command running and ends it, with everything in its process group."""

    def __init__(self, action: Action, settings: ProcessSettings, context: LaunchContext) -> None:
        self._action = action
        self._settings = settings
        self._context = context
        self._logger: logging.Logger = launch_logging.get_logger(settings.name)
        self._stdout, self._stderr = launch_logging.get_output_loggers(
            settings.name, settings.output
        )
        self._child: ChildProcess | None = None
        self._stop_requested = asyncio.Event()
        self._stop_visibly = False
        self._leftovers_end: asyncio.Task[None] | None = None
        self.details: dict[str, Any] = {
            'action': action,
            'name': settings.name,
            'cmd': settings.cmd,
            'cwd': settings.cwd,
            'env': dict(settings.env),
        }
        self.returncode: int | None = None
        self.output: dict[str, list[bytes]] = {'stdout': [], 'stderr': []}

    async def run(self) -> None:
        """Run the command, again and again if it is to be respawned, until it is to stop."""
        retries = 0
        while not self._stop_requested.is_set():
            await self._run_once()
            limit = self._settings.respawn_max_retries
            if not self._settings.respawn or (0 <= limit <= retries):
                break
            retries += 1
            try:
                await asyncio.wait_for(self._stop_requested.wait(), self._settings.respawn_delay_s)
            except TimeoutError:
                continue

    async def _run_once(self) -> None:
        settings = self._settings
        stdout = LineSplitter(lambda line: self._log_line(self._stdout, line))
        stderr = LineSplitter(lambda line: self._log_line(self._stderr, line))
        if settings.log_cmd:
            self._logger.info(
                f"process details: cmd='{_shown(settings.cmd)}', cwd='{settings.cwd}', "
                f'custom_env?={bool(settings.env)}'
            )
        try:
            child = await ChildProcess.start(
                settings.cmd,
                cwd=settings.cwd,
                env=settings.env,
                shell=settings.shell,
                emulate_tty=settings.emulate_tty,
                on_stdout=lambda data: self._on_output('stdout', data, stdout),
                on_stderr=lambda data: self._on_output('stderr', data, stderr),
            )
        except OSError as error:
            self._logger.error(
                f"exception occurred while executing process: {error} (cmd '{settings.cmd[0]}')"
            )
            return
        self._child = child
        self.returncode = None
        self.details['pid'] = child.pid
        self._logger.info(f'process started with pid [{child.pid}]')
        self._context.emit_event_sync(ProcessStarted(**self.details))

        stopping = asyncio.create_task(self._stop_when_requested(child))
        returncode = await child.wait()
        stdout.flush()
        stderr.flush()
        self.returncode = returncode
        if returncode == 0:
            self._logger.info(f'process has finished cleanly [pid {child.pid}]')
        else:
            self._logger.error(
                f'process has died [pid {child.pid}, exit code {returncode}, '
                f"cmd '{_shown(settings.cmd)}']."
            )
        self._context.emit_event_sync(ProcessExited(returncode=returncode, **self.details))
        if self._stop_requested.is_set():
            await stopping
        elif settings.respawn:
            await self._end_leftovers(child)
        elif child.group.is_alive():
            self._leftovers_end = stopping  # they run on, and are ended with the launch
            return
        stopping.cancel()
        child.close()

    async def _stop_when_requested(self, child: ChildProcess) -> None:
        """End the whole group: SIGINT, then SIGTERM, then SIGKILL."""
        await self._stop_requested.wait()
        settings = self._settings
        first = float(settings.sigterm_timeout)
        second = float(settings.sigkill_timeout)
        self._signal(child, signal.SIGINT, visible=self._stop_visibly)
        if await child.group.gone(first):
            return
        self._escalate(child, settings.sigterm_timeout, signal.SIGINT, signal.SIGTERM)
        if await child.group.gone(second):
            return
        self._escalate(child, str(first + second), signal.SIGTERM, signal.SIGKILL)
        await child.group.gone(second)

    def _escalate(
        self, child: ChildProcess, after: str, sent: signal.Signals, next_: signal.Signals
    ) -> None:
        self._logger.error(
            f"process[{self._settings.name}] failed to terminate '{after}' seconds after "
            f"receiving '{sent.name}', escalating to '{next_.name}'"
        )
        self._signal(child, next_, visible=True)

    async def _end_leftovers(self, child: ChildProcess) -> None:
        """End what a dead child left in its group, so that it cannot disturb the next one."""
        child.group.signal(signal.SIGTERM)
        if not await child.group.gone(float(self._settings.sigkill_timeout)):
            child.group.signal(signal.SIGKILL)

    def _signal(self, child: ChildProcess, number: signal.Signals, *, visible: bool) -> None:
        if visible:
            self._logger.info(f"sending signal '{number.name}' to process[{self._settings.name}]")
        child.group.signal(number)

    def request_stop(self, *, visible: bool) -> None:
        """Begin to end the process; `visible` logs the first signal."""
        self._stop_visibly = visible
        self._stop_requested.set()
        if self._leftovers_end is not None:
            self._context.add_completion_future(self._leftovers_end)

    def send_signal(self, number: signal.Signals, *, visible: bool = True) -> None:
        """Send a signal to the process group, if it has been started."""
        if self._child is not None:
            self._signal(self._child, number, visible=visible)

    def kill(self) -> None:
        """Kill whatever of the group still runs."""
        if self._child is not None:
            self._child.group.signal(signal.SIGKILL)

    def _on_output(self, source: str, data: bytes, splitter: LineSplitter) -> None:
        splitter.feed(data)
        if self._settings.cached_output:
            self.output[source].append(data)
        event_class = ProcessStdout if source == 'stdout' else ProcessStderr
        event = event_class(text=data, **self.details)
        if self._context.would_handle_event(event):
            self._context.emit_event_sync(event)

    def _log_line(self, logger: logging.Logger, line: str) -> None:
        logger.info(self._settings.output_format.format(line=line, this=self._action))


def _shown(cmd: list[str]) -> str:
    return ' '.join(part for part in cmd if part.strip())
