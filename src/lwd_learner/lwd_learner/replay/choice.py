"""A part of a replay, by what is known of its episodes: data set, task, robot, kind, outcome, date, weights."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from lwd_learner.replay.index import EpisodeFacts
from lwd_learner.replay.layout import ReplayError


@dataclass(frozen=True, slots=True)
class EpisodeChoice:
    """Which episodes; what is left empty does not choose."""

    task: tuple[str, ...] = ()
    """Only these tasks."""
    robot: tuple[str, ...] = ()
    """Only these robots."""
    kind: tuple[str, ...] = ()
    """Only these kinds: demonstration, rollout, play."""
    outcome: tuple[str, ...] = ()
    """Only episodes that ended so: success, failure, aborted, unknown."""
    since: str = ''
    """Only what ended at this date or time (ISO 8601; UTC unless it says otherwise) or later."""
    until: str = ''
    """Only what ended before this date or time."""
    policy_below: int = 0
    """Only episodes in which weights acted, all older than this version."""

    def __post_init__(self) -> None:
        for value in (self.since, self.until):
            _wall_s(value)

    def accepts(self, facts: EpisodeFacts) -> bool:
        """Whether an episode is meant; one of unknown date lies in no span of time."""
        ended = facts.ended_wall_s
        return (
            (not self.task or facts.task in self.task)
            and (not self.robot or facts.robot_id in self.robot)
            and (not self.kind or facts.kind in self.kind)
            and (not self.outcome or facts.outcome in self.outcome)
            and (not self.since or ended >= _wall_s(self.since))
            and (not self.until or 0 < ended < _wall_s(self.until))
            and (not self.policy_below or 0 < facts.policy_version < self.policy_below)
        )


def _wall_s(text: str) -> float:
    if not text:
        return 0.0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ReplayError(
            f'{text!r} is no date or time; write 2026-11-28 or 2026-11-28T14:30'
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
