"""SOP's adaptive mix: each task's share of online data follows the losses (algorithm.md, section 4).

w_on = e^(a l_on) / (e^(a l_on) + e^(l_off)), clipped to [.2, .8], where l_on and l_off are means over the last 200
learner steps: a task draws more online data while the learner is bad at it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lwd_learner.replay.layout import ReplayError


@dataclass(frozen=True, slots=True)
class AdaptiveConfig:
    """How the share follows the losses."""

    boost: float = 1.0
    """a: above 1, online losses count for more."""
    least: float = 0.2
    """Smallest share of online data."""
    most: float = 0.8
    """Largest share of online data."""
    window: int = 200
    """Learner steps of a mean."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.least <= self.most <= 1.0 or self.window < 1 or self.boost <= 0.0:
            raise ReplayError(
                f'adaptive share in [{self.least}, {self.most}], window {self.window}, boost {self.boost}: '
                'need 0 <= least <= most <= 1, window >= 1, boost > 0'
            )


class AdaptiveShare:
    """Shares of online data by task."""

    def __init__(self, config: AdaptiveConfig, start: float) -> None:
        """Answer `start` for a task until both of its losses were reported."""
        self._config = config
        self._start = min(max(start, config.least), config.most)
        self._losses: dict[str, tuple[deque[float], deque[float]]] = {}

    def report(self, task: str, *, online: bool, loss: float) -> None:
        """Take one step's mean loss of a task's transitions from one data set; what is not finite is left out."""
        if not math.isfinite(loss):
            return
        if task not in self._losses:
            self._losses[task] = self._pair((), ())
        self._losses[task][online].append(loss)

    def share(self, task: str) -> float:
        """The task's share of online data, in [least, most]."""
        offline, online = self._losses.get(task, ((), ()))
        if not offline or not online:
            return self._start
        l_off, l_on = sum(offline) / len(offline), sum(online) / len(online)
        gap = min(max(l_off - self._config.boost * l_on, -60.0), 60.0)
        return min(max(1.0 / (1.0 + math.exp(gap)), self._config.least), self._config.most)

    def state_dict(self) -> dict[str, Any]:
        """The losses, ready for JSON."""
        return {task: [list(off), list(on)] for task, (off, on) in self._losses.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._losses = {task: self._pair(*both) for task, both in state.items()}

    def _pair(self, offline: Any, online: Any) -> tuple[deque[float], deque[float]]:
        window = self._config.window
        return deque(offline, window), deque(online, window)
