"""Which rows a sampler may start at: predicates over index columns.

A predicate takes a `RowView` of M candidate rows and answers a boolean array (M,). It is asked once for each row,
when the row enters the sampler, so it may cost what it likes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lwd_learner.replay.choice import EpisodeChoice
from lwd_learner.replay.index import EpisodeFacts, FrameIndex
from lwd_learner.replay.layout import SOURCE_HUMAN
from lwd_learner.replay.segments import CUT


@dataclass(frozen=True, slots=True)
class RowView:
    """Columns of M candidate rows, each of shape (M,)."""

    success: npt.NDArray[np.bool_]
    """The episode ended in success."""
    human: npt.NDArray[np.bool_]
    """Commanded by a human."""
    corrected: npt.NDArray[np.bool_]
    """Autonomous, in a segment that a human takeover ended."""
    source: npt.NDArray[np.uint8]
    policy_version: npt.NDArray[np.int64]
    task: npt.NDArray[np.int32]
    episode: npt.NDArray[np.int32]
    """Number in `episodes`."""
    episodes: list[EpisodeFacts]

    @classmethod
    def of(cls, index: FrameIndex, rows: npt.NDArray[np.int64]) -> RowView:
        """The view of these local rows."""
        source = index.source.data[rows]
        limit = np.minimum(index.limit.data[rows], len(index) - 1)
        human = source == SOURCE_HUMAN
        lost = (index.source.data[limit] == SOURCE_HUMAN) == human  # its limit is its own last row
        behind = np.minimum(limit + lost, len(index) - 1)
        taken = (index.ending.data[rows] == CUT) & (index.source.data[behind] == SOURCE_HUMAN)
        return cls(
            success=index.success.data[rows],
            human=human,
            corrected=taken & ~human & (index.episode.data[behind] == index.episode.data[rows]),
            source=source,
            policy_version=index.policy_version.data[rows],
            task=index.task.data[rows],
            episode=index.episode.data[rows],
            episodes=index.episodes,
        )

    def kind(self, *kinds: str) -> npt.NDArray[np.bool_]:
        """Rows of episodes of these kinds (demonstration, rollout, play)."""
        wanted = np.array([episode.kind in kinds for episode in self.episodes], np.bool_)
        return wanted[self.episode]


Predicate = Callable[[RowView], npt.NDArray[np.bool_]]


def everything(rows: RowView) -> npt.NDArray[np.bool_]:
    """All rows: what V and Q learn from."""
    return np.ones(len(rows.source), np.bool_)


def successful(rows: RowView) -> npt.NDArray[np.bool_]:
    """Rows of successful episodes: what SFT and filtered BC learn from."""
    return rows.success


def rescues_and_successes(rows: RowView) -> npt.NDArray[np.bool_]:
    """Rows of successful episodes, without the stretches that a human had to take over from."""
    return rows.success & ~rows.corrected


def demonstrations_and_human(rows: RowView) -> npt.NDArray[np.bool_]:
    """Successful demonstrations, and of roll-outs all that a human did: HG-DAgger's data."""
    corrections = rows.kind('rollout') & rows.human
    return (rows.kind('demonstration') & rows.success) | corrections


def of_episodes(choice: EpisodeChoice) -> Predicate:
    """Rows of the episodes that are meant: a split by task, robot or date. Join with others by `both`."""

    def accept(rows: RowView) -> npt.NDArray[np.bool_]:
        return np.array([choice.accepts(e) for e in rows.episodes], np.bool_)[rows.episode]

    return accept


def both(one: Predicate, other: Predicate) -> Predicate:
    """Rows that both accept."""
    return lambda rows: one(rows) & other(rows)
