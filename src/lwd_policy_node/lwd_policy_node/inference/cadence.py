"""What the loop really achieves, beside what it is set to: rates and ages over the last while."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

NS = 1_000_000_000
WINDOW = 100  # observations, inferences and chunks that a report covers


@dataclass(frozen=True, slots=True)
class CadenceReport:
    """One look at the window; NaN where nothing has happened yet."""

    observation_hz: float  # complete observations per second of the robot's clock
    inference_p50_ms: float
    inference_p99_ms: float
    chunk_age_p50_ms: float  # age of a chunk's observation when its first step is executed
    chunk_age_p99_ms: float
    skipped_steps_mean: float  # leading steps of a chunk that were past when it came into use
    skipped_steps_max: float
    chunks_used: int  # since the start


class Cadence:
    """Counts what happens. Not thread-safe: the caller locks."""

    def __init__(self) -> None:
        self._observed_ns: deque[int] = deque(maxlen=WINDOW)
        self._inference_s: deque[float] = deque(maxlen=WINDOW)
        self._age_s: deque[float] = deque(maxlen=WINDOW)
        self._skipped: deque[int] = deque(maxlen=WINDOW)
        self._in_use = 0
        self._used = 0

    def observed(self, stamp_ns: int) -> None:
        """Note the newest complete observation; the same one again does not count."""
        if self._observed_ns and stamp_ns <= self._observed_ns[-1]:
            if stamp_ns > self._observed_ns[-1] - NS:
                return
            self._observed_ns.clear()  # the robot's clock restarted
        self._observed_ns.append(stamp_ns)

    def inferred(self, seconds: float) -> None:
        """Note the wall time of one inference."""
        self._inference_s.append(seconds)

    def executed(self, chunk_id: int, step: int, age_s: float) -> None:
        """Note a control tick of the policy: the first of a chunk says when it came into use."""
        if chunk_id == self._in_use:
            return
        self._in_use = chunk_id
        self._used += 1
        self._age_s.append(age_s)
        self._skipped.append(step)

    def report(self) -> CadenceReport:
        """Rates, percentiles and counts of the window."""
        return CadenceReport(
            observation_hz=_rate_hz(self._observed_ns),
            inference_p50_ms=_percentile(self._inference_s, 50) * 1e3,
            inference_p99_ms=_percentile(self._inference_s, 99) * 1e3,
            chunk_age_p50_ms=_percentile(self._age_s, 50) * 1e3,
            chunk_age_p99_ms=_percentile(self._age_s, 99) * 1e3,
            skipped_steps_mean=float(np.mean(self._skipped)) if self._skipped else math.nan,
            skipped_steps_max=_percentile(self._skipped, 100),
            chunks_used=self._used,
        )


def _rate_hz(stamps_ns: deque[int]) -> float:
    if len(stamps_ns) < 2:
        return math.nan
    return (len(stamps_ns) - 1) * NS / (stamps_ns[-1] - stamps_ns[0])


def _percentile(values: Iterable[float], share: float) -> float:
    found = list(values)
    return float(np.percentile(found, share)) if found else math.nan
