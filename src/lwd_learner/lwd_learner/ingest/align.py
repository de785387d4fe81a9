"""Streams to frames: one row per control tick, each action with the observation that was known when it was sent.

The row of the action sent at tick t holds the newest joint state and images with stamps <= t, never later
ones: the state of the same stamp is what the action was applied to. A tick is missing when nothing was heard
for more than 1.5 periods; up to `max_gap_ticks` missing ticks are filled with the command in force (the robot
holds its last target), a longer gap stays and cuts the segment. A row whose observation is too old is left
out, which is a gap too, and so is what a clock that was set back stamped twice.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from lwd_policy_node.profile import RobotProfile
from lwd_recorder.manifest import EpisodeManifest

from lwd_learner.ingest.errors import DamagedEpisodeError
from lwd_learner.ingest.spool import JpegSpool, SpooledFrames
from lwd_learner.ingest.streams import Command, EpisodeStreams, Stream
from lwd_learner.replay.frames import EpisodeFrames
from lwd_learner.replay.segments import CUT, ending_of

log = logging.getLogger(__name__)

MAX_SET_BACK = 20
"""How often a clock is set back in an episode that is believed."""


@dataclass(frozen=True, slots=True)
class AlignConfig:
    """How old an observation may be, and how long a silence is bridged."""

    max_state_age_s: float = 0.1
    """A row with an older joint state is left out."""
    max_image_age_s: float = 0.5
    """A row with an older image of any camera is left out."""
    max_gap_ticks: int = 3
    """Missing ticks that are filled with the command in force; more of them cut the segment."""
    max_tail_s: float = 1.0
    """Silence of executed_action before the end of a success or a failure that is believed; with more, the
    outcome has no frame to stand at and the episode is refused."""


def align(
    manifest: EpisodeManifest, streams: EpisodeStreams, profile: RobotProfile, config: AlignConfig
) -> EpisodeFrames:
    """The frames of one episode.

    Raises:
        DamagedEpisodeError: no commands, no observations, or the end is missing.
    """
    period_ns = round(1e9 * profile.control_period_s)
    started_ns, ended_ns = round(manifest.started_s * 1e9), round(manifest.ended_s * 1e9)
    twice = _drop_what_was_stamped_twice(manifest, streams, period_ns, config.max_gap_ticks)
    stamps, commands = _ticks(
        streams.commands, started_ns, ended_ns, period_ns, config.max_gap_ticks
    )
    decided = ending_of(manifest.kind, manifest.outcome) != CUT
    if decided and ended_ns - int(stamps[-1]) > config.max_tail_s * 1e9 + period_ns:
        raise DamagedEpisodeError(
            f'the last executed_action is {(ended_ns - int(stamps[-1])) / 1e9:.2f} s before the end'
        )
    newest = {'joint_states': (streams.states.sort(), config.max_state_age_s)}
    for camera, stream in streams.images.items():
        newest[camera] = (stream.sort(), config.max_image_age_s)
    at = {name: np.searchsorted(of, stamps, 'right') - 1 for name, (of, _) in newest.items()}
    keep = np.ones(len(stamps), np.bool_)
    for name, (of, max_age_s) in newest.items():
        if len(of) == 0:
            raise DamagedEpisodeError(f'no messages of {name} in the bag')
        age = stamps - of[np.maximum(at[name], 0)]
        keep &= (at[name] >= 0) & (age <= max_age_s * 1e9)
        for end_ns in twice:  # behind it an age across it would be counted too short
            keep &= (stamps < end_ns) | (stamps - age > end_ns)
    if not keep.any():
        raise DamagedEpisodeError(
            'no control tick has a joint state and images that are fresh enough'
        )
    rows = np.flatnonzero(keep)
    unseen_s = (ended_ns - int(stamps[rows[-1]]) - period_ns) / 1e9
    if decided and unseen_s > config.max_tail_s:
        raise DamagedEpisodeError(
            f'images or joint states ended {unseen_s:.2f} s before the {manifest.outcome}: no frame shows it'
        )
    kept = [commands[row] for row in rows.tolist()]
    label = _labels(streams, stamps[rows])
    return EpisodeFrames(
        episode_id=manifest.episode_id,
        robot_id=manifest.robot_id,
        task=manifest.task,
        instruction=manifest.instruction,
        kind=manifest.kind,
        outcome=manifest.outcome,
        seed=manifest.seed,
        ended_wall_s=manifest.ended_wall_s,
        stamp_s=stamps[rows].astype(np.float64) * 1e-9,
        state=np.array(
            [streams.states.values[i] for i in at['joint_states'][rows].tolist()], np.float32
        ),
        action=np.array([command.action for command in kept], np.float32),
        source=np.array([command.source for command in kept], np.uint8),
        policy_version=np.array([command.policy_version for command in kept], np.int64),
        jpeg={
            camera: _new_frames(stream, streams.spools[camera], at[camera][rows])
            for camera, stream in streams.images.items()
        },
        label=label,
        label_names=streams.label_names if label is not None else (),
    )


def _drop_what_was_stamped_twice(
    manifest: EpisodeManifest, streams: EpisodeStreams, period_ns: int, max_gap_ticks: int
) -> list[int]:
    """Make a gap, which nothing fills, of stamps that the robot's clock went through twice; answers their ends, ns."""
    if len(streams.set_back) > MAX_SET_BACK:
        raise DamagedEpisodeError(
            f'the stamps of executed_action go back {len(streams.set_back)} times; {MAX_SET_BACK} are believed: '
            'look for a second clock or a second arbiter of the robot'
        )
    ends = []
    for back in streams.set_back:
        margin_ns = max(back.ticks, max_gap_ticks + 1) * period_ns
        first_ns, last_ns = back.first_ns - margin_ns, back.last_ns + margin_ns
        for stream in (streams.states, streams.commands, streams.labels, *streams.images.values()):
            stream.drop(first_ns, last_ns)
        log.warning(
            '%s: the clock of %s was set back by some %.2f s; what it stamped from %.2f to %.2f s is left out, for '
            'nobody knows in which order it was; keep the clock synchronised before episodes, not in them',
            manifest.episode_id,
            manifest.robot_id,
            (back.last_ns - back.first_ns + back.ticks * period_ns) / 1e9,
            first_ns / 1e9,
            last_ns / 1e9,
        )
        ends.append(last_ns)
    return ends


def _ticks(
    stream: Stream, started_ns: int, ended_ns: int, period_ns: int, max_gap_ticks: int
) -> tuple[npt.NDArray[np.int64], list[Command]]:
    """Ticks of the episode, short gaps filled; of two commands within half a period the later one holds."""
    all_stamps = stream.sort()
    stamps: list[int] = []
    commands: list[Command] = []
    for stamp, command in zip(all_stamps.tolist(), stream.values, strict=True):
        if not started_ns <= stamp < ended_ns:
            continue
        if stamps:
            step = stamp - stamps[-1]
            if 2 * step < period_ns:
                commands[-1] = command
                continue
            missing = round(step / period_ns) - 1
            if 0 < missing <= max_gap_ticks:
                last = stamps[-1]
                stamps += [last + step * i // (missing + 1) for i in range(1, missing + 1)]
                commands += [commands[-1]] * missing
        stamps.append(stamp)
        commands.append(command)
    if not stamps:
        raise DamagedEpisodeError(
            'no executed_action of this episode between its start and its end'
        )
    return np.array(stamps, np.int64), commands


def _new_frames(stream: Stream, spool: JpegSpool, at: npt.NDArray[np.intp]) -> SpooledFrames:
    fresh = np.diff(at, prepend=-1) > 0
    numbers = np.array(stream.values, np.int64)
    return SpooledFrames(spool, np.where(fresh, numbers[at], -1))


def _labels(
    streams: EpisodeStreams, stamps: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32] | None:
    of = streams.labels.sort()
    if len(of) == 0:
        return None
    at = np.searchsorted(of, stamps, 'right') - 1
    values = np.stack(streams.labels.values)
    return np.where((at >= 0)[:, None], values[np.maximum(at, 0)], np.nan).astype(np.float32)
