"""What is known of one episode."""

from __future__ import annotations

import enum
import secrets
import time
from dataclasses import dataclass

KINDS = ('demonstration', 'rollout', 'play')


class Outcome(enum.IntEnum):
    """How an episode ended; values of Episode.outcome."""

    UNKNOWN = 0
    SUCCESS = 1
    FAILURE = 2
    ABORTED = 3


@dataclass(frozen=True, slots=True)
class EpisodeRecord:
    """One episode; `ended_s` is None while it runs. Times on the robot's clock, s."""

    episode_id: str
    robot_id: str
    task: str
    instruction: str
    kind: str
    seed: int
    started_s: float
    ended_s: float | None = None
    outcome: Outcome = Outcome.UNKNOWN
    ended_by: str = ''

    @property
    def running(self) -> bool:
        """It has not ended."""
        return self.ended_s is None

    @property
    def length_s(self) -> float:
        """Seconds from start to end; 0 while it runs."""
        return 0.0 if self.ended_s is None else max(self.ended_s - self.started_s, 0.0)


def new_episode_id(robot_id: str, wall_s: float) -> str:
    """``<robot>-<UTC start yyyymmddThhmmss>-<8 hex>``, unique for ever."""
    start = time.strftime('%Y%m%dT%H%M%S', time.gmtime(wall_s))
    return f'{robot_id}-{start}-{secrets.token_hex(4)}'
