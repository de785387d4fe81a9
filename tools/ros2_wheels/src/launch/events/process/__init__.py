"""Events of processes."""

from launch._subset import reject_unknown
from launch.events.process.process_matchers import (
    matches_executable,
    matches_name,
    matches_pid,
)
from launch.events.process.process_targeted_event import (
    ProcessTargetedEvent,
    ShutdownProcess,
    SignalProcess,
)
from launch.events.process.running_process_event import (
    ProcessExited,
    ProcessIO,
    ProcessStarted,
    ProcessStderr,
    ProcessStdout,
    RunningProcessEvent,
)

__all__ = [
    'ProcessExited',
    'ProcessIO',
    'ProcessStarted',
    'ProcessStderr',
    'ProcessStdout',
    'ProcessTargetedEvent',
    'RunningProcessEvent',
    'ShutdownProcess',
    'SignalProcess',
    'matches_executable',
    'matches_name',
    'matches_pid',
]
__getattr__ = reject_unknown('launch.events.process', __all__)
