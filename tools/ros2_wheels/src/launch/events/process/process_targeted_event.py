"""Events that ask something of processes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from launch.event import Event


class ProcessTargetedEvent(Event):
    """Something asked of the processes that a matcher picks."""

    name = 'launch.events.process.ProcessTargetedEvent'

    def __init__(self, *, process_matcher: Callable[[Any], bool]) -> None:
        self._process_matcher = process_matcher

    @property
    def process_matcher(self) -> Callable[[Any], bool]:
        """Tells of an ExecuteProcess action whether it is meant."""
        return self._process_matcher


class ShutdownProcess(ProcessTargetedEvent):
    """The processes are to end: SIGINT, then SIGTERM, then SIGKILL."""

    name = 'launch.events.process.ShutdownProcess'


class SignalProcess(ProcessTargetedEvent):
    """The processes are to get a signal."""

    name = 'launch.events.process.SignalProcess'

    def __init__(
        self, *, signal_number: str | signal.Signals, process_matcher: Callable[[Any], bool]
    ) -> None:
        super().__init__(process_matcher=process_matcher)
        self._signal = (
            signal.Signals[signal_number] if isinstance(signal_number, str) else signal_number
        )

    @property
    def signal(self) -> signal.Signals:
        """The signal."""
        return signal.Signals(self._signal)

    @property
    def signal_name(self) -> str:
        """The name of the signal, e.g. 'SIGINT'."""
        return self.signal.name
