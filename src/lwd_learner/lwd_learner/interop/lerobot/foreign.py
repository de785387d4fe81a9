"""Episodes of anybody's LeRobotDataset, by a mapping."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from lwd_recorder.bag import FileRecord

from lwd_learner.interop.errors import InteropError
from lwd_learner.interop.frames import Picture, RawEpisode, Samples
from lwd_learner.interop.labels import Label
from lwd_learner.interop.lerobot.reader import LeRobotReader, SourceEpisode
from lwd_learner.interop.mapping import NEXT_STATE, VELOCITIES, ImportMapping

START_NS = 1_000_000_000
"""Stamp of the first row: a data set has no clock but the row's number."""


def foreign_id(robot_id: str, reader: LeRobotReader, episode: SourceEpisode) -> str:
    """The id of an imported episode: of its folder's name, its number and its values, as a bag's.

    Raises:
        InteropError: rows are missing.
    """
    word = re.sub(r'[^A-Za-z0-9]+', '-', reader.name).strip('-')[:40]
    return f'{robot_id}-{word}-{episode.number:06d}-{reader.sha256(episode)[:8]}'


def raw_episode(
    episode_id: str,
    reader: LeRobotReader,
    episode: SourceEpisode,
    mapping: ImportMapping,
    label: Label,
    file: FileRecord,
) -> RawEpisode:
    """One episode as its samples.

    Raises:
        InteropError: a feature of the mapping is missing, or the verdict is.
    """
    stamps = START_NS + np.round(np.arange(episode.length) * 1e9 / reader.fps).astype(np.int64)

    def samples(feature: str) -> Samples:
        columns = reader.column_names(feature)
        return Samples(stamps, reader.columns(episode, feature)[feature], columns)

    state = samples(mapping.state.source)
    velocity = None
    if mapping.state.velocity not in VELOCITIES:
        measured = samples(mapping.state.velocity)
        velocity = Samples(stamps, measured.values, state.columns)
    action = None if mapping.action.source == NEXT_STATE else samples(mapping.action.source)
    instruction = label.instruction or mapping.instruction or episode.sentence
    return RawEpisode(
        episode_id=episode_id,
        instruction=instruction,
        task=label.task or mapping.task,
        outcome=label.outcome or _outcome(reader, episode, mapping),
        files=(file,),
        state=state,
        velocity=velocity,
        action=action,
        pictures={
            camera: _pictures(reader, episode, feature, stamps)
            for camera, feature in mapping.cameras.items()
        },
    )


def _pictures(
    reader: LeRobotReader, episode: SourceEpisode, feature: str, stamps: npt.NDArray[np.int64]
) -> Iterator[tuple[int, Picture]]:
    yield from zip(stamps.tolist(), reader.pictures(episode, feature), strict=True)


def _outcome(reader: LeRobotReader, episode: SourceEpisode, mapping: ImportMapping) -> str:
    rule = mapping.outcome
    if rule.feature:
        value = float(np.ravel(reader.columns(episode, rule.feature)[rule.feature][-1])[0])
        return 'success' if value >= rule.at_least else 'failure'
    if not rule.outcome:
        raise InteropError(
            f'no verdict for episode {episode.number}: give outcome in the mapping, --outcome, or a label file'
        )
    return rule.outcome
