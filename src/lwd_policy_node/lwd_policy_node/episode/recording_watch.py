"""Is the episode under way being recorded? The recorder says which one it records; silence is a fault."""

from __future__ import annotations

import math


class RecordingWatch:
    """Compares what the recorder acknowledged with what runs. Times are the wall clock, s."""

    def __init__(self, timeout_s: float) -> None:
        """The recorder may take `timeout_s` to acknowledge an episode; infinity: nobody waits for it."""
        self._timeout_s = timeout_s
        self._acknowledged = ''
        self._running = ''
        self._since_s = math.inf

    def acknowledged(self, episode_id: str) -> None:
        """The recorder says which episode it records; empty: none."""
        self._acknowledged = episode_id

    def trouble(self, running: str, wall_s: float) -> str:
        """Say what is wrong with the recording of the episode `running`, if anything; empty: none runs."""
        if running != self._running:
            self._running, self._since_s = running, wall_s
        if not running or running == self._acknowledged:
            self._since_s = wall_s
            return ''
        if wall_s - self._since_s < self._timeout_s:
            return ''
        recorder = f'records {self._acknowledged}' if self._acknowledged else 'records nothing'
        return (
            f'{running} is not being recorded: for {wall_s - self._since_s:.0f} s the recorder has said that it '
            f'{recorder}, or nothing at all; see its log, and whether it hears this robot '
            '(`ros2 topic info -v episode`)'
        )
