"""What a person is told of a run: what happens, how far it is, and a warning when time was short."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from lwd_learner.training.checkpoint import Progress
from lwd_learner.training.stage_clock import StageClock
from lwd_learner.training.status import Status
from lwd_learner.training.terminal import Terminal

LOG_EVERY_S = 10.0

log = logging.getLogger('train')


class Narrator:
    """Tells a run's status, and the terminal or else the log."""

    def __init__(self, status: Status, progress: Progress, terminal: Terminal | None) -> None:
        """`progress` remembers which stages were short."""
        self._status, self._progress, self._terminal = status, progress, terminal
        self._logged_s = 0.0

    def say(self, message: str, **fields: Any) -> None:
        """Set the status' message, and log it if it is a new one."""
        if self._status.fields['message'] != message:
            log.info('%s', message)
        self._status.set(message=message, **fields)

    def step(self, stage: str, clock: StageClock, info: Mapping[str, float]) -> None:
        """Record a step's metrics; show how far the stage is."""
        step, total = clock.done, clock.total
        self._status.log(stage, step, total, info, message='')
        losses = self._status.fields['losses']
        if self._terminal is not None:
            self._terminal.show(stage, step, total, losses)
            return
        now = time.monotonic()
        if now - self._logged_s >= LOG_EVERY_S:
            self._logged_s = now
            shown = ' '.join(f'{k}={v:.3g}' for k, v in losses.items())
            of = f' of about {total}' if total else ''
            log.info('%s step %d%s: %s', stage, step, of, shown)

    def warn_if_short(self, stage: str, clock: StageClock, flag: str) -> None:
        """Say so when the machine was too slow, or too busy, for what a stage is meant to do in its time."""
        if clock.shortfall:
            advice = f'a busy machine? {flag} 0 leaves it to the steps'
            short = self._progress.short
            short[stage] = f'{stage} {clock.shortfall}: {advice}'
            self._status.set(short=dict(short))
            log.warning('%s', short[stage])
