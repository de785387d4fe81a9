"""Events that tell what a process did."""

from __future__ import annotations

from typing import Any

from launch.action import Action
from launch.event import Event


class RunningProcessEvent(Event):
    """Something that a process did."""

    name = 'launch.events.process.RunningProcessEvent'

    def __init__(
        self,
        *,
        action: Action,
        name: str,
        cmd: list[str],
        cwd: str | None,
        env: dict[str, str] | None,
        pid: int,
    ) -> None:
        self._action = action
        self._details: dict[str, Any] = {'name': name, 'cmd': cmd, 'cwd': cwd, 'env': env}
        self._pid = pid

    @property
    def action(self) -> Action:
        """The action that started the process."""
        return self._action

    @property
    def execute_process_action(self) -> Action:
        """The action that started the process."""
        return self._action

    @property
    def process_name(self) -> str:
        """The unique name of the process, e.g. 'talker-1'."""
        return str(self._details['name'])

    @property
    def cmd(self) -> list[str]:
        """The command line."""
        return list(self._details['cmd'])

    @property
    def cwd(self) -> str | None:
        """The working directory, None if inherited."""
        cwd: str | None = self._details['cwd']
        return cwd

    @property
    def env(self) -> dict[str, str] | None:
        """The environment of the process."""
        env: dict[str, str] | None = self._details['env']
        return env

    @property
    def pid(self) -> int:
        """The process id."""
        return self._pid


class ProcessStarted(RunningProcessEvent):
    """A process was started."""

    name = 'launch.events.process.ProcessStarted'


class ProcessExited(RunningProcessEvent):
    """A process ended."""

    name = 'launch.events.process.ProcessExited'

    def __init__(self, *, returncode: int, **details: Any) -> None:
        super().__init__(**details)
        self._returncode = returncode

    @property
    def returncode(self) -> int:
        """The exit code; minus the signal number if a signal ended it."""
        return self._returncode


class ProcessIO(RunningProcessEvent):
    """A process wrote something."""

    name = 'launch.events.process.ProcessIO'
    from_stdout = False
    from_stderr = False

    def __init__(self, *, text: bytes, **details: Any) -> None:
        super().__init__(**details)
        self._text = text

    @property
    def text(self) -> bytes:
        """What it wrote."""
        return self._text


class ProcessStdout(ProcessIO):
    """A process wrote to stdout."""

    name = 'launch.events.process.ProcessStdout'
    from_stdout = True


class ProcessStderr(ProcessIO):
    """A process wrote to stderr."""

    name = 'launch.events.process.ProcessStderr'
    from_stderr = True
