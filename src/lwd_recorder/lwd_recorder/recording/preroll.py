"""The last moments before an episode: messages that may turn out to belong to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
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
        self._bytes = 0

    def add(self, sample: Sample) -> None:
        """Append a message and forget what is too old or too much."""
        self._samples.append(sample)
        self._bytes += len(sample.data)
        horizon_ns = sample.log_ns - self._span_ns
        while self._bytes > self._limit_bytes or self._samples[0].log_ns < horizon_ns:
            self._bytes -= len(self._samples.popleft().data)
            if not self._samples:
                return

    def since(self, log_ns: int) -> Iterator[Sample]:
        """Yield the messages received at or after a time, in their order."""
        return (sample for sample in self._samples if sample.log_ns >= log_ns)

    def clear(self) -> None:
        """Forget everything, e.g. when the robot's clock jumped back."""
        self._samples.clear()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def size_bytes(self) -> int:
        """Bytes held."""
        return self._bytes
