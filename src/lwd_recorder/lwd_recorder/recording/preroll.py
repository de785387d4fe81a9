"""The last moments before an episode: messages that may turn out to belong to it."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple


class Sample(NamedTuple):
    """One received message."""

    topic: int
    """Index of the topic."""
    data: bytes
    """Serialized message."""
    log_ns: int
    """Receive time, robot clock, ns."""
    stamp_ns: int
    """Header stamp, ns."""


class PreRoll:
    """A ring bounded in time and in bytes; the oldest messages go first."""

    def __init__(self, span_ns: int, limit_bytes: int) -> None:
        """Make an empty ring.

        Args:
            span_ns: how far back it reaches, robot clock, ns.
            limit_bytes: most bytes it holds.
        """
        self._span_ns = span_ns
        self._limit_bytes = limit_bytes
        self._samples: deque[Sample] = deque()
        self._latched: dict[int, Sample] = {}
        self._bytes = 0

    def latch(self, sample: Sample) -> None:
        """Keep the newest message of a topic whose last one counts, however old it is."""
        self._latched[sample.topic] = sample

    def add(self, sample: Sample) -> None:
        """Append a message and forget what is too old or too much."""
        self._samples.append(sample)
        self._bytes += len(sample.data)
        horizon_ns = sample.log_ns - self._span_ns
        while self._bytes > self._limit_bytes or self._samples[0].log_ns < horizon_ns:
            self._bytes -= len(self._samples.popleft().data)
            if not self._samples:
                return

    def before(self, start_ns: int, now_ns: int) -> list[Sample]:
        """Return what belongs before an episode, in the order of receipt.

        Args:
            start_ns: the episode's start, robot clock, ns.
            now_ns: when it was heard of, ns.

        Returns:
            The latched messages that are older than the ring, logged at its beginning, then the ring.
        """
        first_ns = start_ns - self._span_ns
        samples = [sample for sample in self._samples if sample.log_ns >= first_ns]
        there = {sample.topic for sample in samples}
        log_ns = min(now_ns, max(first_ns, 0))
        latched = [
            sample._replace(log_ns=log_ns)
            for sample in self._latched.values()
            if sample.topic not in there
        ]
        return [*latched, *samples]

    def clear(self) -> None:
        """Forget everything, e.g. when the robot's clock jumped back."""
        self._samples.clear()
        self._latched.clear()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def size_bytes(self) -> int:
        """Bytes held."""
        return self._bytes
