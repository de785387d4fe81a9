"""One episode as columns at the control rate: what ingest makes of a bag and replay stores.

Row t pairs the action commanded at control tick t with the observation that was known then (newest joint state and
newest image at or before the tick). JPEG bytes stand only in the rows where a new frame arrived.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lwd_learner.replay.layout import ReplayError, ReplayLayout

OUTCOMES = ('success', 'failure', 'aborted', 'unknown')
KINDS = ('demonstration', 'rollout', 'play')
ROWS_AT_ONCE = 64
"""Rows whose images are in memory at once while an episode is written."""


@dataclass(frozen=True, slots=True)
class EpisodeFrames:
    """T rows of one episode."""

    episode_id: str
    robot_id: str
    task: str
    instruction: str
    kind: str
    outcome: str
    stamp_s: npt.NDArray[np.float64]
    """(T,) control tick, s on the robot's clock, increasing; a step of more than 1.5 periods is a gap."""
    state: npt.NDArray[np.float32]
    """(T, S) newest joint state at or before the tick."""
    action: npt.NDArray[np.float32]
    """(T, A) executed action commanded at the tick."""
    source: npt.NDArray[np.uint8]
    """(T,) SOURCE_* of lwd_msgs/ExecutedAction."""
    policy_version: npt.NDArray[np.int64]
    """(T,) weights in force; 0 unless the source is the policy."""
    jpeg: Mapping[str, Sequence[bytes | None]]
    """Per camera T entries: the JPEG bytes of a frame first seen at this tick, else None."""
    seed: int = 0
    ended_wall_s: float = 0.0
    """Wall clock when the episode ended, s since the epoch; 0 where it is not known."""
    label: npt.NDArray[np.float32] | None = None
    """(T, L) privileged labels of the simulator, or None."""
    label_names: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.stamp_s)

    def check(self, layout: ReplayLayout) -> None:
        """Refuse frames that do not fit the layout or hold non-finite values.

        Raises:
            ReplayError: naming the episode and the column.
        """
        rows = len(self)
        if rows == 0:
            raise ReplayError(f'{self.episode_id}: no frames')
        wanted: dict[str, tuple[npt.NDArray[Any], tuple[int, ...]]] = {
            'stamp_s': (self.stamp_s, (rows,)),
            'state': (self.state, (rows, len(layout.state_columns))),
            'action': (self.action, (rows, len(layout.joint_names))),
            'source': (self.source, (rows,)),
            'policy_version': (self.policy_version, (rows,)),
        }
        if not np.isfinite(self.ended_wall_s):
            raise ReplayError(f'{self.episode_id}: ended_wall_s is {self.ended_wall_s}')
        for name, (array, shape) in wanted.items():
            if array.shape != shape:
                raise ReplayError(
                    f'{self.episode_id}: {name} has shape {array.shape}, expected {shape}'
                )
            if not np.isfinite(array).all():
                raise ReplayError(f'{self.episode_id}: {name} holds non-finite values')
        if (np.diff(self.stamp_s) <= 0).any():
            raise ReplayError(f'{self.episode_id}: stamp_s does not increase')
        if self.outcome not in OUTCOMES or self.kind not in KINDS:
            raise ReplayError(
                f'{self.episode_id}: outcome {self.outcome!r}, kind {self.kind!r}; known: {OUTCOMES}, {KINDS}'
            )
        for camera in layout.cameras:
            frames = self.jpeg.get(camera)
            if frames is None or len(frames) != rows:
                have = 'none' if frames is None else str(len(frames))
                raise ReplayError(
                    f'{self.episode_id}: camera {camera} has {have} entries, expected {rows}'
                )
        if self.label is not None and self.label.shape != (rows, len(self.label_names)):
            raise ReplayError(
                f'{self.episode_id}: label has shape {self.label.shape} for {len(self.label_names)} names'
            )


class StoredFrames(Protocol):
    """JPEG entries of one camera that are not in memory; what ingest hands over instead of a list."""

    def present(self) -> npt.NDArray[np.bool_]:
        """(T,) whether the entry is a JPEG."""

    def column(self, start: int, stop: int) -> pa.Array:
        """Entries start <= t < stop as large_binary."""


def present(entries: Sequence[bytes | None] | StoredFrames) -> npt.NDArray[np.bool_]:
    """(T,) where a camera's entries hold a JPEG."""
    if hasattr(entries, 'present'):
        return entries.present()
    return np.array([entry is not None for entry in entries], np.bool_)


def record_batches(
    frames: EpisodeFrames, layout: ReplayLayout, rows: int = ROWS_AT_ONCE
) -> Iterator[pa.RecordBatch]:
    """The episode as Arrow record batches of `layout.arrow_schema()`, `rows` rows each: images of no more in memory."""
    low = low_dimensional(frames, layout)
    schema = layout.arrow_schema()
    for start in range(0, len(frames), rows):
        stop = min(start + rows, len(frames))
        part = low.slice(start, stop - start)
        images = [_images(frames.jpeg[camera], start, stop) for camera in layout.cameras]
        yield pa.RecordBatch.from_arrays([*part.columns, *images], schema=schema)


def to_record_batch(frames: EpisodeFrames, layout: ReplayLayout) -> pa.RecordBatch:
    """The episode as one Arrow record batch of `layout.arrow_schema()`."""
    return next(record_batches(frames, layout, len(frames)))


def _images(entries: Sequence[bytes | None] | StoredFrames, start: int, stop: int) -> pa.Array:
    if hasattr(entries, 'column'):
        return entries.column(start, stop)
    return pa.array(entries[start:stop], pa.large_binary())


def low_dimensional(frames: EpisodeFrames, layout: ReplayLayout) -> pa.RecordBatch:
    """Every column of the episode but the images, in the schema's order."""
    rows = len(frames)
    new_images = np.zeros(rows, np.uint8)
    for bit, camera in enumerate(layout.cameras):
        new_images |= present(frames.jpeg[camera]).astype(np.uint8) << bit
    names: list[Any] = [None] * rows
    names[0] = list(frames.label_names)
    columns: dict[str, pa.Array] = {
        name: pa.array([value] * rows, pa.string())
        for name, value in (
            ('episode_id', frames.episode_id),
            ('robot', frames.robot_id),
            ('task', frames.task),
            ('instruction', frames.instruction),
            ('kind', frames.kind),
            ('outcome', frames.outcome),
        )
    }
    columns |= {
        'seed': pa.array(np.full(rows, frames.seed, np.uint64)),
        'ended_wall_s': pa.array(np.full(rows, frames.ended_wall_s)),
        'label_names': pa.array(names, pa.list_(pa.string())),
        't': pa.array(np.arange(rows, dtype=np.int32)),
        'stamp_s': pa.array(frames.stamp_s.astype(np.float64)),
        'state': _fixed(frames.state),
        'action': _fixed(frames.action),
        'source': pa.array(frames.source.astype(np.uint8)),
        'policy_version': pa.array(frames.policy_version.astype(np.int64)),
        'label': _labels(frames),
        'new_images': pa.array(new_images),
    }
    stored = layout.arrow_schema()
    schema = pa.schema([field for field in stored if field.name not in layout.image_columns])
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _fixed(values: npt.NDArray[np.float32]) -> pa.Array:
    flat = np.ascontiguousarray(values, dtype=np.float32).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), values.shape[1])


def _labels(frames: EpisodeFrames) -> pa.Array:
    rows = len(frames)
    if frames.label is None or frames.label.shape[1] == 0:
        return pa.nulls(rows, pa.list_(pa.float32()))
    width = frames.label.shape[1]
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
    flat = np.ascontiguousarray(frames.label, dtype=np.float32).reshape(-1)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat))
