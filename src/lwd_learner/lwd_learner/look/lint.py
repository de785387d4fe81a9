"""All checks over a replay, episode by episode."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from lwd_learner.look.findings import Finding
from lwd_learner.look.pictures import (
    PictureThresholds,
    SharedPictures,
    check_pictures,
    read_frames,
)
from lwd_learner.look.rows import Episode, Limits, RowThresholds, check_rates, check_rows
from lwd_learner.replay.index import EpisodeFacts
from lwd_learner.replay.layout import DATASETS
from lwd_learner.replay.replay import Replay
from lwd_learner.replay.stats import content_hash


@dataclass(frozen=True, slots=True)
class LintConfig:
    """What lint looks at, and what it calls wrong."""

    images: bool = True
    """Read and decode every picture; without it only the numbers are checked."""
    rows: RowThresholds = field(default_factory=RowThresholds)
    """Of the numbers."""
    pictures: PictureThresholds = field(default_factory=PictureThresholds)
    """Of the pictures."""


def lint(
    replay: Replay,
    limits: Mapping[str, Limits] | None,
    config: LintConfig | None = None,
    accept: Callable[[EpisodeFacts], bool] = lambda _: True,
    on_episode: Callable[[], None] = lambda: None,
) -> list[Finding]:
    """Everything that is wrong, errors first, then in order of arrival.

    Args:
        replay: at the snapshot to be checked.
        limits: by joint, from the robot's profile; None where it is not known.
        config: thresholds.
        accept: the episodes to check.
        on_episode: told after each episode.
    """
    config = config or LintConfig()
    found: list[Finding] = []
    shared = SharedPictures()
    for dataset in DATASETS:
        episodes = [
            Episode.of(dataset, replay.index(dataset), facts, replay.layout)
            for facts in replay.kept(dataset)
        ]
        medians = _median_rates(replay, episodes)
        for episode in episodes:
            if not accept(episode.facts):
                continue
            found += check_rows(episode, config.rows, None if limits is None else dict(limits))
            found += check_rates(episode, medians, config.rows)
            if config.images:
                frames = read_frames(replay, episode)
                found += check_pictures(episode, frames, config.pictures)
                shared.add(episode, frames)
            on_episode()
    found += _duplicate_episodes(replay, accept)
    found += shared.findings()
    return sorted(found, key=lambda finding: finding.level != 'error')


def _median_rates(replay: Replay, episodes: list[Episode]) -> dict[str, float]:
    if not episodes:
        return {}
    median = np.median([episode.rates[1:] for episode in episodes], axis=0)
    return dict(zip(replay.layout.cameras, median.tolist(), strict=True))


def _duplicate_episodes(
    replay: Replay, accept: Callable[[EpisodeFacts], bool]
) -> Iterator[Finding]:
    """Episodes that repeat the states and actions of an earlier one, in either data set."""
    known: dict[str, list[str]] = defaultdict(list)
    for dataset in DATASETS:
        for facts in replay.kept(dataset):
            same = known[content_hash(replay.index(dataset), facts)]
            if same and accept(facts):
                yield Finding(
                    'error',
                    'duplicate_episode',
                    dataset,
                    facts.episode_id,
                    'whole episode',
                    f'states and actions are those of {same[0]}, byte for byte',
                    'one recording under two ids: prune one of them',
                )
            same.append(facts.episode_id)
