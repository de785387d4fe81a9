"""The recorder's settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecorderConfig:
    """How the recorder works. Robot-clock times follow /clock in simulation."""

    profile: str = 'g1_laptop'
    """Robot profile's name, for the manifest."""
    preroll_s: float = 1.0
    """How far before an episode's start its bag reaches, robot clock, s."""
    preroll_limit_bytes: int = 64 << 20
    """Most memory of the pre-roll, bytes."""
    postroll_s: float = 0.2
    """Robot-clock time after an episode's end in which its late messages are awaited, s."""
    postroll_wall_s: float = 0.25
    """Least wall time after the end in which they are awaited, s."""
    postroll_wall_limit_s: float = 1.0
    """Most wall time after the end: the robot's clock may stand still, s."""
    queue_limit_bytes: int = 128 << 20
    """Most memory between subscriptions and disk; beyond it messages are dropped and counted."""
    max_file_bytes: int = 1 << 30
    """A new file of the bag is begun when one has this size; 0 = never."""
    max_file_s: float = 300.0
    """And when it spans this much of the robot's clock, s; 0 = never."""
    flush_s: float = 0.5
    """Messages are handed to the kernel after this time at most, s: what a killed recorder can lose."""
    sync_s: float = 1.0
    """And are on the disk after this time and that of one fsync, s: what a power cut can lose."""
    stall_s: float = 1.0
    """A topic with a steady rate that is silent for so long in an episode is named, robot clock, s."""
    warn_free_bytes: int = 2 << 30
    """Free disk space below which the recorder warns, bytes."""
    min_free_bytes: int = 512 << 20
    """Free disk space below which no new episode is recorded, bytes."""
    last_free_bytes: int = 64 << 20
    """Free disk space below which the episode under way is closed as aborted, while it still can be, bytes."""
    max_episode_s: float = 900.0
    """An episode whose end never comes is closed as aborted after this time, robot clock, s."""
