"""What is known of a bag once it is closed: its files, and what was measured of its topics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of an episode: what a receiver checks it against."""

    name: str
    """File name inside the episode's folder."""
    size_bytes: int
    """Size, bytes."""
    sha256: str
    """sha256 of the bytes, hex."""


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """What was measured of one topic while it was recorded."""

    type: str
    """Message type, e.g. sensor_msgs/msg/JointState."""
    count: int
    """Messages in the bag."""
    rate_hz: float
    """Measured rate within the episode, intervals / (last - first stamp), 1/s; 0 with fewer than two messages."""
    max_gap_s: float
    """Largest distance of two neighbouring stamps within the episode, s; for a periodic topic also from the start to
    the first one and from the last one to the end. 0 with fewer than two messages."""
    missing: int = 0
    """Messages that the measured period says should have been in the gaps; 0 for a topic without one."""
    lost: int = 0
    """Messages that the sequence numbers say were sent and never arrived."""
    dropped: int = 0
    """Messages that arrived and found the recorder's queue full."""
    latency_s: float = 0.0
    """Mean of receive time - stamp, s, robot clock."""
    max_latency_s: float = 0.0
    """Largest receive time - stamp, s."""


@dataclass(frozen=True, slots=True)
class BagSummary:
    """A closed bag."""

    directory: Path
    """The bag's folder."""
    files: tuple[FileRecord, ...]
    """Every file in it."""
    topics: Mapping[str, TopicRecord]
    """Measured facts by topic name."""
    start_ns: int
    """Smallest log time, ns; 0 when empty."""
    end_ns: int
    """Largest log time, ns; 0 when empty."""

    @property
    def message_count(self) -> int:
        """Messages in the bag."""
        return sum(topic.count for topic in self.topics.values())
