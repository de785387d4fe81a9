"""Measures a stream of messages from their stamps: rate, largest gap, missing ones, latency. Nothing nominal in it."""

from __future__ import annotations

from collections import deque
from statistics import median

from lwd_recorder.bag.records import TopicRecord

_WINDOW = 32
_KNOWN = 8
_LATE = 1.5
_NS = 1e9


class StreamMeasure:
    """What the messages of one topic said of themselves so far."""

    __slots__ = (
        '_first_ns',
        '_intervals_ns',
        '_last_ns',
        '_latencies',
        '_latency_ns',
        '_measured',
        'count',
        'from_ns',
        'max_gap_ns',
        'max_latency_ns',
        'missing',
        'periodic',
    )

    def __init__(self, from_ns: int = 0, *, periodic: bool = False) -> None:
        """Begin.

        Args:
            from_ns: only stamps from here on are measured, ns: the pause before an episode is no gap.
            periodic: the topic has a steady rate: messages can be missing, and a late first one is a gap.
        """
        self.from_ns = from_ns
        self.periodic = periodic
        self.count = 0
        """Messages, those before `from_ns` included."""
        self.max_gap_ns = 0
        """Largest distance of neighbouring stamps, ns."""
        self.missing = 0
        """Messages that the measured period says should have been in the gaps."""
        self.max_latency_ns = 0
        """Largest receive time - stamp, ns."""
        self._measured = 0
        self._first_ns = self._last_ns = 0
        self._latency_ns = self._latencies = 0
        self._intervals_ns: deque[int] = deque(maxlen=_WINDOW)

    @property
    def period_ns(self) -> int:
        """Median of the last intervals, ns; 0 while there are too few."""
        if len(self._intervals_ns) < _KNOWN:
            return 0
        return round(median(self._intervals_ns))

    @property
    def latency_ns(self) -> int:
        """Mean of receive time - stamp, ns."""
        return self._latency_ns // self._latencies if self._latencies else 0

    @property
    def rate_hz(self) -> float:
        """Intervals by the time from the first to the last stamp, 1/s; 0 with fewer than two messages."""
        span_ns = self._last_ns - self._first_ns
        return (self._measured - 1) * _NS / span_ns if span_ns > 0 else 0.0

    def add(self, stamp_ns: int, log_ns: int) -> None:
        """Take one message into account: its header stamp and its receive time, ns."""
        self.count += 1
        if stamp_ns < self.from_ns:
            return
        latency_ns = log_ns - stamp_ns
        self._latency_ns += latency_ns
        self._latencies += 1
        if latency_ns > self.max_latency_ns:
            self.max_latency_ns = latency_ns
        if self._measured == 0:
            self._first_ns = self._last_ns = stamp_ns
            if self.periodic and self.from_ns > 0:
                self.max_gap_ns = stamp_ns - self.from_ns
        elif stamp_ns > self._last_ns:
            self._step(stamp_ns - self._last_ns)
            self._last_ns = stamp_ns
        self._measured += 1

    def end(self, stamp_ns: int) -> None:
        """Count the silence before the end of the episode, too, for a periodic topic that was ever heard."""
        if self.periodic and self._measured and stamp_ns > self._last_ns:
            self.max_gap_ns = max(self.max_gap_ns, stamp_ns - self._last_ns)

    def record(self, type_name: str) -> TopicRecord:
        """Return the facts for a manifest."""
        return TopicRecord(
            type=type_name,
            count=self.count,
            rate_hz=round(self.rate_hz, 3),
            max_gap_s=round(self.max_gap_ns / _NS, 6),
            missing=self.missing,
            latency_s=round(self.latency_ns / _NS, 6),
            max_latency_s=round(self.max_latency_ns / _NS, 6),
        )

    def _step(self, interval_ns: int) -> None:
        self.max_gap_ns = max(self.max_gap_ns, interval_ns)
        if self.periodic:
            period_ns = self.period_ns
            if 0 < _LATE * period_ns < interval_ns:
                self.missing += round(interval_ns / period_ns) - 1
        self._intervals_ns.append(interval_ns)
