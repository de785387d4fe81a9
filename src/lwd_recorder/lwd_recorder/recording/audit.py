"""The live audit: what arrives on each topic, measured, and which steady stream has stopped. One thread calls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lwd_recorder.bag.measure import StreamMeasure
from lwd_recorder.recording.topics import RecordedTopic

_NS = 1_000_000_000
_STALL_PERIODS = 5
_STALL_WALL_S = 0.5


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic as it is now."""

    name: str
    """Relative to the robot's namespace."""
    rate_hz: float
    """Messages since the last look, by wall time, 1/s."""
    max_gap_s: float
    """Largest distance of two stamps since the episode's start, s."""
    missing: int
    """Messages since then that the measured period says should have been in the gaps."""
    lost: int
    """Messages since then that the sequence numbers say were sent and never arrived."""
    dropped: int
    """Messages since then that arrived and found the queue full."""
    latency_s: float
    """Mean of receive time - stamp since then, s, robot clock."""
    max_latency_s: float
    """Largest of it, s."""
    silent_s: float
    """How long a stopped topic has been silent, s, robot clock; 0 while it comes."""


@dataclass(frozen=True, slots=True)
class Change:
    """A steady topic stopped, or came back."""

    name: str
    """Relative to the robot's namespace."""
    silent_s: float
    """How long it has been or was silent, s, robot clock."""
    stopped: bool
    """Whether it stopped; else it is back."""
    rate_hz: float
    """What it came at before, 1/s; 0 when it was never heard."""


class _Stream:
    __slots__ = ('dropped', 'last_ns', 'last_wall_s', 'lost', 'measure', 'seen', 'silent_ns')

    def __init__(self, periodic: bool) -> None:
        self.measure = StreamMeasure(periodic=periodic)
        self.lost = self.dropped = self.seen = 0
        self.last_ns = 0
        self.last_wall_s = 0.0
        self.silent_ns = 0  # > 0: it was said to have stopped


class LiveAudit:
    """Measures every topic since the start of the episode, or of the recorder where none was yet."""

    def __init__(self, topics: Sequence[RecordedTopic], stall_s: float) -> None:
        """Begin.

        Args:
            topics: messages are counted by their index in it.
            stall_s: silence of a steady topic that is a fault, robot clock, s.
        """
        self._topics = topics
        self._stall_ns = round(stall_s * _NS)
        self._streams = [_Stream(topic.spec.periodic) for topic in topics]
        self._looked_s = 0.0

    def begin(self, start_ns: int, wall_s: float) -> None:
        """Measure anew from an episode's start, robot clock, ns."""
        for stream in self._streams:
            stream.measure = StreamMeasure(start_ns, periodic=stream.measure.periodic)
            stream.lost = stream.dropped = stream.seen = stream.silent_ns = 0
            stream.last_ns, stream.last_wall_s = start_ns, wall_s
        self._looked_s = wall_s

    def add(self, topic: int, stamp_ns: int, now_ns: int, wall_s: float) -> None:
        """Count a message: its stamp and the receive time, robot clock, ns; wall time, s."""
        stream = self._streams[topic]
        stream.measure.add(stamp_ns, now_ns)
        stream.last_ns, stream.last_wall_s = now_ns, wall_s

    def add_lost(self, topic: int, count: int) -> None:
        """Count messages that the sequence numbers say never arrived."""
        self._streams[topic].lost += count

    def add_dropped(self, topic: int) -> None:
        """Count a message that found the queue full."""
        self._streams[topic].dropped += 1

    def changes(self, now_ns: int, wall_s: float) -> list[Change]:
        """Return which steady topics have stopped or come back since the last call; call it during episodes."""
        found = []
        for topic, stream in zip(self._topics, self._streams, strict=True):
            if not topic.spec.periodic:
                continue
            period_ns = stream.measure.period_ns
            silent_ns = now_ns - stream.last_ns
            stalled = silent_ns > max(self._stall_ns, _STALL_PERIODS * period_ns)
            heard = stream.measure.count > 0
            if not (heard or topic.spec.required) or stalled == (stream.silent_ns > 0):
                stream.silent_ns = silent_ns if stalled and stream.silent_ns else stream.silent_ns
                continue
            if stalled and wall_s - stream.last_wall_s < _STALL_WALL_S:
                continue
            rate_hz = _NS / period_ns if period_ns else 0.0
            lasted_ns = silent_ns if stalled else stream.silent_ns
            found.append(Change(topic.spec.name, lasted_ns / _NS, stalled, rate_hz))
            stream.silent_ns = silent_ns if stalled else 0
        return found

    def stopped(self) -> list[tuple[str, float]]:
        """Return the steady topics that are silent: name and how long at the last `changes`, s."""
        return [
            (topic.spec.name, stream.silent_ns / _NS)
            for topic, stream in zip(self._topics, self._streams, strict=True)
            if stream.silent_ns
        ]

    def look(self, wall_s: float) -> list[TopicState]:
        """Return every topic as it is, rates since the last call."""
        span_s = max(wall_s - self._looked_s, 1e-3)
        self._looked_s = wall_s
        states = []
        for topic, stream in zip(self._topics, self._streams, strict=True):
            of = stream.measure
            states.append(
                TopicState(
                    name=topic.spec.name,
                    rate_hz=(of.count - stream.seen) / span_s,
                    max_gap_s=of.max_gap_ns / _NS,
                    missing=of.missing,
                    lost=stream.lost,
                    dropped=stream.dropped,
                    latency_s=of.latency_ns / _NS,
                    max_latency_s=of.max_latency_ns / _NS,
                    silent_s=stream.silent_ns / _NS,
                )
            )
            stream.seen = of.count
        return states
