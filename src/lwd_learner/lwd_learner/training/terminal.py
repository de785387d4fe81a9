"""A line at the bottom of the terminal: stage, bar, losses, time left."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

PERIOD_S = 0.2


class Terminal:
    """Shows how far a run is; use it in `with`. Log lines of the same console scroll above it."""

    def __init__(self, console: Console) -> None:
        """Show nothing until the first step."""
        self._progress = Progress(
            TextColumn('[bold]{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn('left'),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn('{task.fields[losses]}'),
            console=console,
            transient=True,
        )
        self._stage = ''
        self._task: Task | None = None
        self._shown = 0.0

    def __enter__(self) -> Terminal:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, stage: str, step: int, total: int, losses: Mapping[str, float]) -> None:
        """Move the bar of a stage; a new stage begins a new one. A total of 0: nobody knows."""
        now = time.monotonic()
        if stage == self._stage and (step < total or not total) and now - self._shown < PERIOD_S:
            return
        self._shown = now
        text = ' '.join(f'{name} {value:.3g}' for name, value in losses.items())
        if stage != self._stage or self._task is None:
            if self._task is not None:
                self._progress.remove_task(self._task.id)
            self._stage = stage
            self._progress.add_task(stage, total=total or None, losses=text)
            self._task = self._progress.tasks[-1]
        # Not by `update`: it forgets the speed when the total is another, and with it the time left.
        self._task.total = max(total, step) if total else None
        self._task.finished_time = None
        self._progress.update(self._task.id, completed=step, losses=text)
