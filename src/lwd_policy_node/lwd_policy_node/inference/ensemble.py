"""Temporal ensembling: a step's target is the mean of what the last chunks planned for that moment.

With chunks c_0 (oldest) to c_n (newest) that cover a moment, and a_i what c_i plans for it,

    target = sum_i w_i a_i / sum_i w_i,   w_i = exp(-decay * i),

so that the oldest plan weighs most (Zhao et al., Learning Fine-Grained Bimanual Manipulation with
Low-Cost Hardware, 2023, algorithm 2).
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import numpy.typing as npt

Actions = npt.NDArray[np.float64]


class Ensemble:
    """The last chunks as the policy gave them, and their mean from the newest one's stamp on."""

    def __init__(self, chunks: int, decay: float, step_s: float) -> None:
        """Average `chunks` chunks of steps `step_s` apart.

        Raises:
            ValueError: fewer than two chunks, or a decay that is not finite.
        """
        if chunks < 2:
            raise ValueError(f'an ensemble of {chunks} chunks averages nothing: give 2 or more')
        if not math.isfinite(decay):
            raise ValueError(f'the decay of an ensemble must be finite, not {decay}')
        self._weights = np.exp(-decay * np.arange(chunks))
        self._step_ns = step_s * 1e9
        self._kept: deque[tuple[int, Actions]] = deque(maxlen=chunks)

    def clear(self) -> None:
        """Forget every chunk: what was planned was not executed."""
        self._kept.clear()

    def add(self, stamp_ns: int, actions: Actions) -> Actions:
        """Take the chunk of an observation and return the mean, both (H, A).

        Args:
            stamp_ns: of the observation; one that is not newer than the last clears the others.
            actions: absolute targets; step i is due i + 1 steps after the stamp.
        """
        if self._kept and stamp_ns <= self._kept[-1][0]:
            self.clear()
        self._kept.append((stamp_ns, actions))
        total = np.zeros_like(actions)
        weight = np.zeros((len(actions), 1))
        rank = np.zeros(len(actions), dtype=int)  # how many older chunks cover the step
        for made_ns, planned in self._kept:
            ahead = round((stamp_ns - made_ns) / self._step_ns)
            covered = max(len(planned) - ahead, 0)
            share = self._weights[rank[:covered], None]
            total[:covered] += share * planned[ahead : ahead + covered]
            weight[:covered] += share
            rank[:covered] += 1
        return total / weight
