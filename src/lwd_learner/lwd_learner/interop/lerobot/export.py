"""A replay as a LeRobotDataset v3.0.

LeRobot's rows are equally spaced, so each stretch of an episode without a gap becomes an episode of its own: a chunk
of LeRobot's never spans a silence, as ours never does. Pictures repeat between new frames, as a policy sees them.
What LeRobot has no word for goes into `lwd.` columns and `lwd/` facts, by which our import joins the stretches again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg

from lwd_learner.interop.errors import InteropError
from lwd_learner.interop.lerobot import files
from lwd_learner.interop.lerobot.writer import LeRobotWriter, VideoConfig
from lwd_learner.replay.index import EpisodeFacts
from lwd_learner.replay.replay import Replay
from lwd_learner.replay.segments import CUT, GAP_PERIODS, SUCCESS, ending_of

READ_ROWS = 128
"""Rows whose JPEGs are held at once."""


@dataclass(frozen=True, slots=True)
class ExportConfig:
    """What is exported, and how."""

    dataset: tuple[str, ...] = ('offline', 'online')
    """Data sets of the replay."""
    task: tuple[str, ...] = ()
    """Only these tasks."""
    outcome: tuple[str, ...] = ()
    """Only episodes that ended so, e.g. success."""
    video: VideoConfig = field(default_factory=VideoConfig)
    """Codec and quality."""

    def accepts(self, facts: EpisodeFacts) -> bool:
        """Whether an episode is wanted."""
        return (not self.task or facts.task in self.task) and (
            not self.outcome or facts.outcome in self.outcome
        )


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    path: str
    episodes: int
    """Of the replay."""
    lerobot_episodes: int
    """Stretches without a gap."""
    frames: int
    left_out: int
    """Rows before the first picture of a camera."""


def export_lerobot(
    replay: Replay,
    out: Path,
    config: ExportConfig | None = None,
    on_episode: Callable[[int, int], None] = lambda done, total: None,
) -> Exported:
    """Write the selected episodes to a new folder.

    Raises:
        InteropError: the folder exists, nothing fits the selection, or pictures or rate do not suit LeRobot.
    """
    config = config or ExportConfig()
    layout = replay.layout
    fps = round(layout.control_rate_hz)
    if abs(fps - layout.control_rate_hz) > 1e-6:
        raise InteropError(
            f'{replay.uri} has {layout.control_rate_hz} rows a second; LeRobot wants a whole number'
        )
    chosen = [
        (name, facts)
        for name in config.dataset
        for facts in replay.kept(name)
        if config.accepts(facts)
    ]
    if not chosen:
        raise InteropError(
            f'nothing to export: no episode of {replay.uri} fits the selection; see replay stats'
        )
    widths = {len(facts.label_names) for _, facts in chosen}
    features = _features(replay, max(widths))
    rows = stretches = left_out = 0
    with LeRobotWriter(
        out, fps, layout.profile, features, _sizes(replay, chosen), config.video
    ) as writer:
        for done, (name, facts) in enumerate(chosen):
            first, parts = _stretches(replay, name, facts)
            left_out += first
            for number, (start, stop) in enumerate(parts):
                writer.add(
                    facts.instruction,
                    _columns(replay, name, facts, start, stop, max(widths)),
                    {
                        camera: _pictures(replay, name, start, stop, c)
                        for c, camera in enumerate(layout.cameras)
                    },
                    _facts(facts, name, number, len(parts)),
                )
                rows += stop - start
                stretches += 1
            on_episode(done + 1, len(chosen))
        writer.close(asdict(layout))
    return Exported(str(out), len(chosen), stretches, rows, left_out)


def _features(replay: Replay, label_width: int) -> dict[str, dict[str, Any]]:
    layout = replay.layout
    features = {
        files.STATE: files.feature(
            'float32', list(layout.state_columns), len(layout.state_columns)
        ),
        files.ACTION: files.feature('float32', list(layout.joint_names), len(layout.joint_names)),
        files.REWARD: files.feature('float32', None),
        files.DONE: files.feature('bool', None),
        files.SOURCE: files.feature('int64', None),
        files.POLICY_VERSION: files.feature('int64', None),
        files.NEW_IMAGES: files.feature('int64', None),
        files.STAMP: files.feature('int64', None),
    }
    if label_width:
        features[files.LABEL] = files.feature('float32', None, label_width)
    return features


def _sizes(replay: Replay, chosen: list[tuple[str, EpisodeFacts]]) -> dict[str, tuple[int, int]]:
    """(height, width) by camera, of the first episode that has pictures."""
    for name, facts in chosen:
        rows = np.flatnonzero(replay.index(name).new_image.data[facts.start : facts.stop])
        if len(rows):
            (jpegs,) = replay.jpegs(replay.global_rows(name, rows[:1] + facts.start))
            headers = [simplejpeg.decode_jpeg_header(jpeg) for jpeg in jpegs]
            return {
                camera: (header[0], header[1])
                for camera, header in zip(replay.layout.cameras, headers, strict=True)
            }
    raise InteropError(f'no episode of {replay.uri} that fits the selection has pictures')


def _stretches(
    replay: Replay, name: str, facts: EpisodeFacts
) -> tuple[int, list[tuple[int, int]]]:
    """Rows without pictures at the beginning, and the stretches behind them: first row, one past the last."""
    index = replay.index(name)
    seen = index.image_row.data[facts.start : facts.stop] >= 0
    first = int(seen.argmax()) if seen.any() else len(seen)
    start = facts.start + first
    if start == facts.stop:
        return first, []
    steps = np.diff(index.stamp_s.data[start : facts.stop])
    cuts = start + 1 + np.flatnonzero(steps > GAP_PERIODS * replay.layout.period_s)
    edges = [start, *cuts.tolist(), facts.stop]
    return first, list(pairwise(edges))


def _columns(
    replay: Replay, name: str, facts: EpisodeFacts, start: int, stop: int, label_width: int
) -> dict[str, npt.NDArray[Any]]:
    index = replay.index(name)
    rows = slice(start, stop)
    low = index.low.take_all(
        {name: np.arange(start, stop) for name in ('state', 'action', 'label')}
    )
    ending = ending_of(facts.kind, facts.outcome)
    reward = np.zeros(stop - start, np.float32)
    done = np.zeros(stop - start, np.bool_)
    if stop == facts.stop:
        reward[-1], done[-1] = ending == SUCCESS, ending != CUT
    fresh = index.camera_row.data[rows] == np.arange(start, stop)[:, None]
    bits = (fresh.astype(np.int64) << np.arange(fresh.shape[1])).sum(axis=1)
    columns: dict[str, npt.NDArray[Any]] = {
        files.STATE: low['state'],
        files.ACTION: low['action'],
        files.REWARD: reward,
        files.DONE: done,
        files.SOURCE: index.source.data[rows],
        files.POLICY_VERSION: index.policy_version.data[rows],
        files.NEW_IMAGES: bits,
        files.STAMP: _nanoseconds(index.stamp_s.data[rows]),
    }
    if label_width:
        label = np.zeros((stop - start, label_width), np.float32)
        width = len(facts.label_names)
        label[:, :width] = low['label'][:, :width]
        columns[files.LABEL] = label
    return columns


def _nanoseconds(stamp_s: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Whole nanoseconds that alignment makes the same stamps of again, where there are such.

    Floats at 1.76e9 s are 238 ns apart, and those at 1.76e18 ns 256: the nearest may give the stamp's neighbour.
    """
    nearest = np.rint(stamp_s * 1e9)
    chosen = nearest
    for other in (np.nextafter(nearest, -np.inf), np.nextafter(nearest, np.inf)):
        chosen = np.where(chosen * 1e-9 == stamp_s, chosen, np.rint(other))
    return np.where(chosen * 1e-9 == stamp_s, chosen, nearest).astype(np.int64)


def _pictures(
    replay: Replay, name: str, start: int, stop: int, camera: int
) -> Iterator[npt.NDArray[np.uint8]]:
    """The picture that each row sees; decoded once for as long as it is held."""
    held = replay.index(name).camera_row.data[:, camera]
    shown, image = -1, np.empty(0, np.uint8)
    for first in range(start, stop, READ_ROWS):
        rows = np.arange(first, min(stop, first + READ_ROWS))
        jpegs = replay.jpegs(replay.global_rows(name, rows))
        for row, of_row in zip(rows.tolist(), jpegs, strict=True):
            if held[row] != shown:
                shown, image = int(held[row]), simplejpeg.decode_jpeg(of_row[camera])
            yield image


def _facts(facts: EpisodeFacts, name: str, number: int, of: int) -> dict[str, Any]:
    return {
        'lwd/dataset': name,
        'lwd/episode_id': facts.episode_id,
        'lwd/stretch': number,
        'lwd/stretches': of,
        'lwd/robot_id': facts.robot_id,
        'lwd/task': facts.task,
        'lwd/kind': facts.kind,
        'lwd/outcome': facts.outcome,
        'lwd/seed': str(facts.seed),
        'lwd/ended_wall_s': facts.ended_wall_s,
        'lwd/label_names': list(facts.label_names),
    }
