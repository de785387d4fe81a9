"""Our own exports back into episodes, row for row: states, actions, sources, labels and stamps are those exported."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
from lwd_policy_node.profile import RobotProfile
from lwd_recorder.manifest import EpisodeManifest, ManifestError, file_record

from lwd_learner.ingest.align import AlignConfig, align
from lwd_learner.ingest.errors import DamagedEpisodeError
from lwd_learner.ingest.spool import JpegSpool
from lwd_learner.ingest.streams import Command, EpisodeStreams, Stream
from lwd_learner.interop.errors import InteropError
from lwd_learner.interop.frames import as_jpeg, with_own_bytes
from lwd_learner.interop.lerobot import files
from lwd_learner.interop.lerobot.reader import LeRobotReader, SourceEpisode
from lwd_learner.replay.frames import EpisodeFrames

AS_EXPORTED = AlignConfig(
    max_state_age_s=1.0, max_image_age_s=1e9, max_gap_ticks=0, max_tail_s=1e9
)
"""Every row was aligned once; gaps stay as they are."""


def exported_episodes(reader: LeRobotReader) -> Iterator[tuple[str, list[SourceEpisode]]]:
    """Each episode's id and its stretches in order."""
    by_id = groupby(reader.episodes(), key=lambda episode: str(episode.facts['lwd/episode_id']))
    for episode_id, stretches in by_id:
        yield episode_id, sorted(stretches, key=lambda stretch: stretch.facts['lwd/stretch'])


def restore(
    reader: LeRobotReader, stretches: list[SourceEpisode], profile: RobotProfile, quality: int
) -> EpisodeFrames:
    """One episode from its stretches.

    Raises:
        InteropError: a stretch is missing, or the profile is not the one exported.
    """
    facts = stretches[0].facts
    if len(stretches) != facts['lwd/stretches']:
        raise InteropError(
            f'{facts["lwd/episode_id"]}: {len(stretches)} of {facts["lwd/stretches"]} stretches are there'
        )
    _check_profile(reader, profile)
    cameras = [camera.name for camera in profile.cameras]
    streams = EpisodeStreams(
        images={name: Stream() for name in cameras}, spools={name: JpegSpool() for name in cameras}
    )
    try:
        for stretch in stretches:
            _read_stretch(reader, stretch, streams, cameras, quality)
        frames = align(
            _manifest(reader, stretches, streams, profile), streams, profile, AS_EXPORTED
        )
        return with_own_bytes(frames)
    except (DamagedEpisodeError, ManifestError) as error:
        raise InteropError(str(error)) from error
    finally:
        streams.close()


def _check_profile(reader: LeRobotReader, profile: RobotProfile) -> None:
    names = {files.STATE: profile.state_columns, files.ACTION: profile.joint_names}
    for feature, wanted in names.items():
        if tuple(reader.column_names(feature)) != tuple(wanted):
            raise InteropError(
                f'{reader.root} was exported from profile {reader.info.get("robot_type")!r}; its {feature} '
                f'is not that of {profile.name!r}'
            )


def _read_stretch(
    reader: LeRobotReader,
    stretch: SourceEpisode,
    streams: EpisodeStreams,
    cameras: list[str],
    quality: int,
) -> None:
    names = [
        files.STATE,
        files.ACTION,
        files.SOURCE,
        files.POLICY_VERSION,
        files.NEW_IMAGES,
        files.STAMP,
    ]
    label_names = tuple(stretch.facts['lwd/label_names'] or ())
    read = reader.columns(stretch, *names, *([files.LABEL] if label_names else []))
    stamps: list[int] = read[files.STAMP].tolist()
    for row, stamp in enumerate(stamps):
        streams.states.add(stamp, read[files.STATE][row])
        command = Command(
            read[files.ACTION][row],
            int(read[files.SOURCE][row]),
            int(read[files.POLICY_VERSION][row]),
        )
        streams.commands.add(stamp, command)
    if label_names:
        streams.label_names = label_names
        labels: npt.NDArray[Any] = read[files.LABEL].reshape(len(stamps), -1)
        for stamp, label in zip(stamps, labels[:, : len(label_names)], strict=True):
            streams.labels.add(stamp, label.astype(np.float32))
    bits = read[files.NEW_IMAGES].astype(np.int64)
    first = stretch.facts['lwd/stretch'] == 0
    for number, camera in enumerate(cameras):
        fresh = (bits >> number & 1).astype(np.bool_)
        fresh[0] |= first  # what the first row sees
        pictures = reader.pictures(stretch, files.camera_key(camera))
        for stamp, new, picture in zip(stamps, fresh.tolist(), pictures, strict=True):
            if new:
                jpeg = as_jpeg(picture, picture.shape[1], picture.shape[0], quality)
                streams.images[camera].add(stamp, streams.spools[camera].append(memoryview(jpeg)))


def _manifest(
    reader: LeRobotReader,
    stretches: list[SourceEpisode],
    streams: EpisodeStreams,
    profile: RobotProfile,
) -> EpisodeManifest:
    facts = stretches[0].facts
    start_s = streams.states.stamps_ns[0] * 1e-9
    end_s = streams.states.stamps_ns[-1] * 1e-9 + profile.control_period_s
    return EpisodeManifest(
        episode_id=str(facts['lwd/episode_id']),
        robot_id=str(facts['lwd/robot_id']),
        profile=profile.name,
        task=str(facts['lwd/task']),
        instruction=stretches[0].sentence,
        kind=str(facts['lwd/kind']),
        seed=int(facts['lwd/seed']),
        outcome=str(facts['lwd/outcome']),
        ended_by='operator',
        started_s=start_s - 0.5 * profile.control_period_s,  # a float is coarse
        ended_s=end_s,
        ended_wall_s=float(facts.get('lwd/ended_wall_s') or 0.0),
        committed_wall_s=0.0,
        files=(file_record(reader.data_path(stretches[0])),),
        topics={},
        notes=('imported',),
    )
