"""Somebody else's episode as frames of ours: the same streams, and the same alignment, as a bag from a robot.

A source gives its samples with stamps (`RawEpisode`). Here its columns become our joints, its commands are put on our
control clock (the newest one holds, as on a robot), and `ingest.align` does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
from lwd_policy_node.image_size import fitted
from lwd_policy_node.profile import Camera, RobotProfile
from lwd_recorder.bag import FileRecord
from lwd_recorder.manifest import EpisodeManifest, ManifestError

from lwd_learner.ingest.align import AlignConfig, align
from lwd_learner.ingest.errors import DamagedEpisodeError
from lwd_learner.ingest.jpeg import check_jpeg
from lwd_learner.ingest.spool import JpegSpool
from lwd_learner.ingest.streams import Command, EpisodeStreams, Stream
from lwd_learner.interop.errors import InteropError
from lwd_learner.interop.mapping import NEXT_STATE, ImportMapping, VectorMapping
from lwd_learner.replay.frames import EpisodeFrames
from lwd_learner.replay.layout import SOURCE_HUMAN

SAME_RATE = 0.1
"""Commands whose rate differs from the control rate by less than this share are taken as they come."""
HELD_PERIODS = 1.5
"""A sample is held for so many of its source's periods; after that it is missing."""
COMMAND_HELD_S = 0.5
"""A command is held at least so long, s."""
OVERSHOOT = 0.05
"""Share of a joint's range by which a measured position may lie outside it and still be a command."""
FIRST_WALL_S = 1e9
"""Stamps before this (2001) count from somewhere else, and say nothing of the date, s."""

Stamps = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
Picture = npt.NDArray[np.uint8] | bytes
"""RGB (h, w, 3), or a JPEG as it came."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Vectors with stamps in ns, ascending: (T,), (T, D), and D names."""

    stamps_ns: Stamps
    values: npt.NDArray[Any]
    columns: list[str]
    heard: npt.NDArray[np.bool_] | None = None
    """(T, D) which values came with their row; the others are held, NaN before the first. None: all came."""

    def at(self, rows: npt.NDArray[np.bool_]) -> Samples:
        """Only these rows."""
        heard = None if self.heard is None else self.heard[rows]
        return Samples(self.stamps_ns[rows], self.values[rows], self.columns, heard)

    def news(self, column: int | None) -> Rows:
        """Rows that say something new of a column, the last one of each stamp; none of a constant (None)."""
        if column is None:
            return np.empty(0, np.intp)
        rows = np.arange(len(self.stamps_ns))
        if self.heard is not None:
            rows = np.flatnonzero(self.heard[:, column] & ~np.isnan(self.values[:, column]))
        return rows[np.diff(self.stamps_ns[rows], append=np.iinfo(np.int64).max) > 0]


@dataclass(frozen=True, slots=True)
class RawEpisode:
    """One episode as its source has it."""

    episode_id: str
    instruction: str
    task: str
    outcome: str
    files: tuple[FileRecord, ...]
    """What it was read from."""
    state: Samples
    velocity: Samples | None
    """Measured velocities, columns as the state's; None where the mapping asks for none."""
    action: Samples | None
    """Commands; None where the action is the next state."""
    pictures: Mapping[str, Iterable[tuple[int, Picture]]]
    """Per camera of ours, (stamp_ns, picture)."""


def to_frames(raw: RawEpisode, mapping: ImportMapping, profile: RobotProfile) -> EpisodeFrames:
    """The frames of one imported episode.

    Raises:
        InteropError: something does not fit the mapping or the profile; the message names it.
    """
    if len(raw.state.stamps_ns) < 2:
        raise InteropError(f'{len(raw.state.stamps_ns)} samples of {mapping.state.source}')
    positions = mapping.state.values(profile.state_names, raw.state.columns, raw.state.values)
    known = _known(raw.state, mapping.state, profile.state_names, positions)
    velocities = _velocities(raw, mapping, profile, positions, known)[known]
    raw, positions = replace(raw, state=raw.state.at(known)), positions[known]
    news = _news(raw.state, mapping, profile)
    stamps, actions = _commands(raw, mapping, profile, positions, news)
    if len(stamps) == 0:
        raise InteropError('no control tick has a command and a state')
    streams = EpisodeStreams(
        images={camera.name: Stream() for camera in profile.cameras},
        spools={camera.name: JpegSpool() for camera in profile.cameras},
    )
    try:
        _fill(streams.states, raw.state.stamps_ns, np.concatenate([positions, velocities], axis=1))
        for stamp, action in zip(stamps.tolist(), actions, strict=True):
            streams.commands.add(stamp, Command(action, SOURCE_HUMAN, 0))
        image_step_s = 0.0
        for camera in profile.cameras:
            image_step_s = max(image_step_s, _pictures(streams, raw, mapping, profile, camera))
        config = AlignConfig(
            max_state_age_s=max(
                AlignConfig().max_state_age_s, HELD_PERIODS * _period_s(raw.state.stamps_ns, news)
            ),
            max_image_age_s=max(AlignConfig().max_image_age_s, HELD_PERIODS * image_step_s),
        )
        frames = align(_manifest(raw, mapping, profile, stamps), streams, profile, config)
        return with_own_bytes(frames)
    except (DamagedEpisodeError, ManifestError) as error:
        raise InteropError(str(error)) from error
    finally:
        streams.close()


def with_own_bytes(frames: EpisodeFrames) -> EpisodeFrames:
    """The same frames, their pictures in memory instead of in a spool that is about to go."""
    return replace(frames, jpeg={camera: list(jpegs) for camera, jpegs in frames.jpeg.items()})


def _fill(stream: Stream, stamps: Stamps, values: Values) -> None:
    for stamp, value in zip(stamps.tolist(), values, strict=True):
        stream.add(stamp, value)


def _known(
    samples: Samples, of: VectorMapping, joints: Sequence[str], values: Values
) -> npt.NDArray[np.bool_]:
    """Rows in which every joint has a value; columns that no joint comes from may begin when they like.

    Raises:
        InteropError: there is none.
    """
    if samples.heard is None:
        return np.ones(len(values), np.bool_)
    missing = np.isnan(values)
    known: npt.NDArray[np.bool_] = np.logical_not(missing.any(axis=1))
    if not known.any():
        never = [
            joint for joint, of_joint in zip(joints, missing.T, strict=True) if of_joint.all()
        ]
        raise InteropError(
            f'{of.source} never has a value for {", ".join(never) or "all joints at once"}; map another column, '
            'or give a constant value'
        )
    return known


def _news(state: Samples, mapping: ImportMapping, profile: RobotProfile) -> list[Rows]:
    """Per joint the rows that say something new of it."""
    return [
        state.news(mapping.state.column(joint, state.columns)) for joint in profile.state_names
    ]


def _period_s(stamps: Stamps, news: list[Rows]) -> float:
    """Median time between two samples of the joint that is heard most often, s."""
    return min((_step_s(stamps[rows]) for rows in news if len(rows) > 1), default=_step_s(stamps))


def _velocities(
    raw: RawEpisode,
    mapping: ImportMapping,
    profile: RobotProfile,
    positions: Values,
    known: npt.NDArray[np.bool_],
) -> Values:
    how = mapping.state.velocity
    if how == 'zero':
        return np.zeros_like(positions)
    if how == 'difference':
        rates = np.zeros_like(positions)
        for i, rows in enumerate(_news(raw.state, mapping, profile)):
            rates[:, i] = _differences(raw.state.stamps_ns, positions[:, i], rows)
        return rates
    lacking = InteropError(
        f'{mapping.state.source} has no velocities, or not always ({how}); use difference, or zero'
    )
    if raw.velocity is None or len(raw.velocity.values) != len(positions):
        raise lacking
    rates = mapping.state.values(profile.state_names, raw.velocity.columns, raw.velocity.values)
    if np.isnan(rates[known]).any():
        raise lacking
    for i, joint in enumerate(profile.state_names):  # neither offset nor constant moves
        entry = None if mapping.state.joints is None else mapping.state.joints[joint]
        if entry is not None:
            rates[:, i] = 0.0 if entry.value is not None else rates[:, i] - entry.offset
    return rates


def _differences(stamps: Stamps, values: Values, rows: Rows) -> Values:
    """Rate of one joint from its values (T,) at `rows`, held in between, and 0 at and in a silence of it; (T,)."""
    if len(rows) < 2:
        return np.zeros(len(values))
    seconds = np.diff(stamps[rows]) * 1e-9
    usual_s = HELD_PERIODS * float(np.median(seconds))
    rates = np.where(seconds <= usual_s, np.diff(values[rows]) / seconds, 0.0)
    newest = np.searchsorted(rows, np.arange(len(values)), 'right') - 1
    since_s = (stamps - stamps[rows[np.maximum(newest, 0)]]) * 1e-9
    return np.where((newest >= 1) & (since_s <= usual_s), rates[np.maximum(newest, 1) - 1], 0.0)


def _commands(
    raw: RawEpisode,
    mapping: ImportMapping,
    profile: RobotProfile,
    positions: Values,
    news: list[Rows],
) -> tuple[Stamps, Values]:
    """Stamps and actions on the control clock."""
    if raw.action is None:
        if mapping.action.source != NEXT_STATE:
            raise InteropError(f'no samples of {mapping.action.source}')
        columns = list(profile.action_columns_in_state())
        targets = positions[:, columns]
        return _next_states(raw.state.stamps_ns, _within_limits(targets, profile), profile, news)
    if len(raw.action.stamps_ns) == 0:
        raise InteropError(f'no samples of {mapping.action.source}')
    period_ns = round(1e9 * profile.control_period_s)
    actions = mapping.action.values(profile.joint_names, raw.action.columns, raw.action.values)
    known = _known(raw.action, mapping.action, profile.joint_names, actions)
    stamps, actions = raw.action.stamps_ns[known], actions[known]
    if _same_rate(stamps, period_ns):
        return stamps, actions
    ticks = _ticks(max(int(stamps[0]), int(raw.state.stamps_ns[0])), int(stamps[-1]), profile)
    held_ns = round(1e9 * max(COMMAND_HELD_S, HELD_PERIODS * _step_s(stamps)))
    at = np.searchsorted(stamps, ticks, 'right') - 1
    fresh = ticks - stamps[at] <= held_ns
    return ticks[fresh], actions[at[fresh]]


def _next_states(
    stamps: Stamps, targets: Values, profile: RobotProfile, news: list[Rows]
) -> tuple[Stamps, Values]:
    """Where the robot was one tick later, for every tick that has such a moment."""
    period_ns = round(1e9 * profile.control_period_s)
    together = all(len(rows) in (0, len(stamps)) for rows in news)
    if together and _same_rate(stamps, period_ns):
        near = np.diff(stamps) <= HELD_PERIODS * period_ns
        return stamps[:-1][near], targets[1:][near]
    ticks = _ticks(int(stamps[0]), int(stamps[-1]), profile)
    held_ns = round(1e9 * HELD_PERIODS * _period_s(stamps, news))
    later = np.searchsorted(stamps, ticks[1:], 'right') - 1
    fresh = ticks[1:] - stamps[later] <= held_ns
    return ticks[:-1][fresh], targets[later[fresh]]


def _within_limits(targets: Values, profile: RobotProfile) -> Values:
    """Measured positions as commands: what lies a little outside a joint's limits (overshoot) is put onto them.

    What lies far outside is left as it is, for lint to find: the units are wrong.
    """
    lower, upper = profile.limits('lower'), profile.limits('upper')
    inside = np.clip(targets, lower, upper)
    return np.where(np.abs(targets - inside) <= OVERSHOOT * (upper - lower), inside, targets)


def _ticks(first_ns: int, last_ns: int, profile: RobotProfile) -> Stamps:
    """Control ticks from first to last; tick k at k / rate, rounded once, so that equal moments have equal stamps."""
    count = int((last_ns - first_ns) * 1e-9 * profile.control_rate_hz + 1e-6) + 1
    since = np.round(np.arange(count) * 1e9 / profile.control_rate_hz).astype(np.int64)
    return first_ns + since


def _same_rate(stamps: Stamps, period_ns: int) -> bool:
    return abs(_step_s(stamps) * 1e9 - period_ns) <= SAME_RATE * period_ns


def _step_s(stamps: Stamps) -> float:
    """Median time between samples, s."""
    return float(np.median(np.diff(stamps))) * 1e-9 if len(stamps) > 1 else 0.0


def _pictures(
    streams: EpisodeStreams,
    raw: RawEpisode,
    mapping: ImportMapping,
    profile: RobotProfile,
    camera: Camera,
) -> float:
    """Put a camera's pictures into the streams; answers the median time between them, s."""
    if camera.name not in raw.pictures:
        raise InteropError(f'the mapping has no camera {camera.name}; the profile has it')
    size = mapping.image_size or profile.policy_image
    width, height = size or (camera.width, camera.height)
    stream, spool = streams.images[camera.name], streams.spools[camera.name]
    for stamp, picture in raw.pictures[camera.name]:
        jpeg = as_jpeg(picture, width, height, mapping.jpeg_quality)
        stream.add(stamp, spool.append(memoryview(jpeg)))
    if len(stream) == 0:
        raise InteropError(f'no pictures of {mapping.cameras[camera.name]}')
    return _step_s(np.array(stream.stamps_ns, np.int64))


def as_jpeg(picture: Picture, width: int, height: int, quality: int) -> bytes:
    """A JPEG of the wanted size; one that has it already is not touched.

    Raises:
        InteropError: bytes that are no JPEG.
    """
    if isinstance(picture, bytes):
        try:
            if simplejpeg.decode_jpeg_header(picture)[:2] == (height, width):
                check_jpeg('an imported camera', picture, (width, height), whole=True)
                return picture
            image: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(picture)
        except ValueError as error:
            raise InteropError(f'a picture is no valid JPEG: {error}') from error
    else:
        image = picture
    out: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(fitted(image, width, height)), quality, colorsubsampling='444'
    )
    return out


def _manifest(
    raw: RawEpisode, mapping: ImportMapping, profile: RobotProfile, stamps: Stamps
) -> EpisodeManifest:
    end_s = float(stamps[-1]) * 1e-9 + profile.control_period_s
    return EpisodeManifest(
        episode_id=raw.episode_id,
        robot_id=mapping.robot_id,
        profile=profile.name,
        task=raw.task,
        instruction=raw.instruction,
        kind=mapping.kind,
        seed=0,
        outcome=raw.outcome,
        ended_by='operator',
        started_s=float(stamps[0]) * 1e-9 - 0.5 * profile.control_period_s,  # a float is coarse
        ended_s=end_s,
        ended_wall_s=end_s if end_s > FIRST_WALL_S else 0.0,
        committed_wall_s=0.0,
        files=raw.files,
        topics={},
        human_s=end_s - float(stamps[0]) * 1e-9,
        notes=('imported',),
    )
