"""How far a stage is: by its steps, by the wall time it has had, or by whichever of the two ends it first.

A stage that steps alone bound (`seconds` 0) is the same whatever the machine does meanwhile, and goes on exactly after
a kill. One that time may end is not: rates that fall follow the clock.
"""

from __future__ import annotations

import math
import time
from typing import Any

SHORT = 0.5
"""A stage that had less than this share of its steps when its time was up is worth a warning."""


class StageClock:
    """Counts the steps and the wall time of one stage, over interruptions."""

    def __init__(self, steps: int | None, seconds: float) -> None:
        """Start at nothing done.

        Args:
            steps: the stage ends after so many; None: not by steps.
            seconds: it ends after so much wall time, s; 0: not by time; inf: not before somebody stops it.

        Raises:
            ValueError: nothing would ever end the stage.
        """
        if steps is None and seconds <= 0:
            raise ValueError('a stage needs a bound: steps, or seconds above 0')
        self._steps, self._seconds = steps, seconds
        self.done = 0
        """Steps so far."""
        self._before_s, self._began = 0.0, time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Wall time that the stage has had, interruptions left out."""
        return self._before_s + time.monotonic() - self._began

    @property
    def progress(self) -> float:
        """Share of the stage that is over, 1 at its end."""
        by_steps = 0.0 if self._steps is None else self.done / max(self._steps, 1)
        if self._steps == 0:
            by_steps = 1.0
        by_time = self.elapsed_s / self._seconds if self._seconds > 0 else 0.0
        return min(1.0, max(by_steps, by_time))

    @property
    def over(self) -> bool:
        """Whether a bound is reached."""
        return self.progress >= 1.0

    @property
    def total(self) -> int:
        """Steps that the stage will have had in the end, as far as can be told; 0: it cannot."""
        if not 0 < self._seconds < math.inf or self.done == 0:
            return self._steps or 0
        by_time = int(self.done * max(1.0, self._seconds / max(self.elapsed_s, 1e-3)))
        return by_time if self._steps is None else min(self._steps, by_time)

    @property
    def shortfall(self) -> str:
        """A sentence if time ended the stage long before its steps were done, as on a busy machine; otherwise empty."""
        if not self.over or self._steps is None or self.done >= SHORT * self._steps:
            return ''
        return f'had {self.done} of {self._steps} steps when its {self._seconds:g} s were over'

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {'done': self.done, 'elapsed_s': self.elapsed_s}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a `state`; the time in between does not count."""
        self.done = int(state['done'])
        self._before_s, self._began = float(state['elapsed_s']), time.monotonic()
