"""Lint of an episode's pictures: frozen, blank, broken and repeated ones. Every stored JPEG is read once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import simplejpeg

from lwd_learner.look.findings import Finding
from lwd_learner.look.rows import Episode, runs
from lwd_learner.replay.replay import Replay

READ_ROWS = 256
"""Rows whose pictures are read at once."""
LOOK_HEIGHT, LOOK_WIDTH = 60, 80
"""Pictures are decoded to the smallest size, of the sizes JPEG gives cheaply, that is no smaller than this."""
HALF = 0.5
"""Pictures shared with another episode or camera are an error from this share on."""
_SIDES = {'left': 'l', 'l': 'l', 'right': 'r', 'r': 'r'}


@dataclass(frozen=True, slots=True)
class PictureThresholds:
    """What counts as wrong in an episode's pictures."""

    frozen_s: float = 1.0
    """Pictures that stay the same for so long while the robot moves are frozen, s."""
    moved: float = 0.1
    """The robot moves when a joint that the camera sees changes by more than this, rad or gripper fraction."""
    near: float = 1.0
    """Grey levels by which the most changed point of two pictures may differ for them to be nearly identical."""
    blank: float = 2.0
    """Standard deviation of grey levels below which a picture shows nothing."""


@dataclass(slots=True)
class CameraFrames:
    """What is kept of one camera's pictures of one episode."""

    rows: list[int] = field(default_factory=list)
    """Row of each picture, counted from the episode's first."""
    digests: list[int] = field(default_factory=list)
    """64 bits of each picture's hash."""
    change: list[float] = field(default_factory=list)
    """Largest difference of grey levels from the picture before; infinity for the first."""
    contrast: list[float] = field(default_factory=list)
    """Standard deviation of grey levels."""
    broken: list[int] = field(default_factory=list)
    """Rows whose picture cannot be decoded."""


def read_frames(replay: Replay, episode: Episode) -> dict[str, CameraFrames]:
    """Hash and decode every picture of an episode once."""
    facts, cameras = episode.facts, replay.layout.cameras
    out = {camera: CameraFrames() for camera in cameras}
    before: dict[str, npt.NDArray[np.int16]] = {}
    local = np.arange(facts.start, facts.stop)
    held = replay.index(episode.dataset).camera_row.data[facts.start : facts.stop]
    fresh = held == local[:, None]
    seen = (held >= 0).all(axis=1)
    wanted = np.flatnonzero(fresh.any(axis=1) & seen)
    for start in range(0, len(wanted), READ_ROWS):
        rows = wanted[start : start + READ_ROWS]
        jpegs = replay.jpegs(replay.global_rows(episode.dataset, local[rows]))
        for row, of_row in zip(rows.tolist(), jpegs, strict=True):
            for number, camera in enumerate(cameras):
                if fresh[row, number]:
                    _add(out[camera], row, of_row[number], before, camera)
    return out


def _add(
    frames: CameraFrames,
    row: int,
    jpeg: bytes,
    before: dict[str, npt.NDArray[np.int16]],
    camera: str,
) -> None:
    try:
        grey = simplejpeg.decode_jpeg(
            jpeg, 'GRAY', min_height=LOOK_HEIGHT, min_width=LOOK_WIDTH, min_factor=1
        ).astype(np.int16)
    except ValueError:
        frames.broken.append(row)
        return
    last = before.get(camera)
    same_size = last is not None and last.shape == grey.shape
    frames.change.append(
        float(np.abs(grey - last).max()) if last is not None and same_size else np.inf
    )
    frames.rows.append(row)
    frames.digests.append(int.from_bytes(hashlib.blake2b(jpeg, digest_size=8).digest(), 'big'))
    frames.contrast.append(float(grey.std()))
    before[camera] = grey


def check_pictures(
    episode: Episode, frames: dict[str, CameraFrames], thresholds: PictureThresholds
) -> Iterator[Finding]:
    """What one episode's pictures tell."""
    for camera, of_camera in frames.items():
        if of_camera.broken:
            yield episode.finding(
                'error',
                'broken_image',
                episode.place(of_camera.broken[0], of_camera.broken[-1], f'camera {camera}'),
                f'{len(of_camera.broken)} pictures that are no decodable JPEG',
                'prune the episode; ingest verifies pictures, so find what else wrote it',
            )
        blank = [c < thresholds.blank for c in of_camera.contrast]
        if blank and np.mean(blank) >= HALF:
            yield episode.finding(
                'warning',
                'blank_camera',
                f'camera {camera}',
                f'{sum(blank)} of {len(blank)} pictures show nothing (contrast below {thresholds.blank:g})',
                'uncover the lens, check exposure and light',
            )
        yield from _frozen(episode, camera, of_camera, thresholds)
    yield from _same_cameras(episode, frames)


def _frozen(
    episode: Episode, camera: str, frames: CameraFrames, thresholds: PictureThresholds
) -> Iterator[Finding]:
    columns = _joints_seen(camera, episode.layout.state_columns)
    rows, digests = np.array(frames.rows, np.int64), np.array(frames.digests, np.uint64)
    identical = digests[1:] == digests[:-1]
    near = np.array(frames.change[1:]) <= thresholds.near
    found: list[tuple[int, int]] = []
    for same, level, how in (
        (identical, 'error', 'identical'),
        (near, 'warning', 'nearly identical'),
    ):
        for first, last in runs(same):
            begin = int(rows[first])
            end = int(rows[last + 1]) - 1 if last + 1 < len(rows) else len(episode.stamp_s) - 1
            seconds = float(episode.stamp_s[end] - episode.stamp_s[begin])
            moved = float(np.ptp(episode.state[begin : end + 1, columns], axis=0).max())
            told = any(begin <= b and e <= end for b, e in found)
            if seconds < thresholds.frozen_s or moved <= thresholds.moved or told:
                continue
            found.append((begin, end))
            yield episode.finding(
                'error' if level == 'error' else 'warning',
                'frozen_camera',
                episode.place(begin, end, f'camera {camera}'),
                f'{last - first + 1} {how} pictures in {seconds:.2f} s while joints moved by {moved:.2f}',
                'restart the camera driver and prune the episode: pictures and joints tell two stories',
            )


def _joints_seen(camera: str, columns: tuple[str, ...]) -> list[int]:
    """Columns of the positions whose motion a camera must show: of its side if it has one by name, else all."""
    positions = [i for i, name in enumerate(columns) if not name.startswith('velocity/')]
    side = _side(camera)
    same_side = [i for i in positions if _side(columns[i]) == side]
    return same_side if side and same_side else positions


def _side(name: str) -> str | None:
    """l or r where a word of the name says so (hand_left, idx21_arm_l_joint1), else None."""
    sides = {_SIDES[word] for word in re.split(r'[^a-z0-9]+', name.lower()) if word in _SIDES}
    return sides.pop() if len(sides) == 1 else None


def _same_cameras(episode: Episode, frames: dict[str, CameraFrames]) -> Iterator[Finding]:
    names = list(frames)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            a, b = frames[one].digests, frames[other].digests
            if a and b and len(set(a) & set(b)) >= HALF * min(len(set(a)), len(set(b))):
                yield episode.finding(
                    'error',
                    'duplicate_frames',
                    f'cameras {one} and {other}',
                    'both show the same pictures, byte for byte',
                    'two topics carry one camera: correct the remapping of the drivers',
                )


class SharedPictures:
    """Pictures that occur in several episodes."""

    def __init__(self) -> None:
        self._digests: list[npt.NDArray[np.uint64]] = []
        self._episodes: list[Episode] = []

    def add(self, episode: Episode, frames: dict[str, CameraFrames]) -> None:
        """Remember an episode's distinct pictures."""
        digests = [digest for of_camera in frames.values() for digest in of_camera.digests]
        self._digests.append(np.unique(np.array(digests, np.uint64)))
        self._episodes.append(episode)

    def findings(self) -> Iterator[Finding]:
        """Episodes of whose pictures half or more are another episode's."""
        if not self._digests:
            return
        number = np.repeat(np.arange(len(self._digests)), [len(d) for d in self._digests])
        every, group = np.unique(np.concatenate(self._digests), return_inverse=True)
        first = np.full(len(every), len(self._digests), np.int64)
        np.minimum.at(first, group, number)
        owner = first[group]
        for i, episode in enumerate(self._episodes):
            mine = owner[number == i]
            if len(mine) and (share := float((mine < i).mean())) >= HALF:
                elder = self._episodes[int(np.bincount(mine[mine < i]).argmax())]
                yield episode.finding(
                    'error',
                    'duplicate_frames',
                    'whole episode',
                    f'{share:.0%} of its pictures are those of {elder.facts.episode_id}',
                    'one recording under two ids: prune one of them',
                )
