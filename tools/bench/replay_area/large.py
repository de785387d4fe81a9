"""Replays of any number of frames, made in seconds: real low-dimensional columns, no image bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
from lwd_learner.replay import ReplayLayout
from lwd_policy_node.profile import load_profile

EPISODE_ROWS = 600
EPISODES_AT_ONCE = 100
IMAGE_EVERY = 3


def layout() -> ReplayLayout:
    """The laptop's G1: 40 state columns, 16 of actions, 3 cameras."""
    return ReplayLayout.of(load_profile('g1_laptop'))


def make_large(folder: Path, frames: int) -> None:
    """A replay of so many online frames in episodes of 600; every third row has new images (stored as null)."""
    schema = layout().arrow_schema()
    folder.mkdir(parents=True)
    lance.write_dataset(schema.empty_table(), f'{folder}/offline.lance')
    reader = pa.RecordBatchReader.from_batches(schema, _batches(frames, schema))
    lance.write_dataset(reader, f'{folder}/online.lance')


def _batches(frames: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    rng = np.random.default_rng(0)
    here = layout()
    rows = EPISODE_ROWS * EPISODES_AT_ONCE
    state = rng.normal(size=rows * len(here.state_columns)).astype(np.float32)
    action = rng.normal(size=rows * len(here.joint_names)).astype(np.float32)
    t = np.tile(np.arange(EPISODE_ROWS, dtype=np.int32), EPISODES_AT_ONCE)
    for first in range(0, frames, rows):
        count = min(rows, frames - first)
        number = (first + np.arange(rows)) // EPISODE_ROWS
        ids = pa.array([f'e-{i}' for i in np.unique(number).tolist()])
        of = pa.array(number - number[0])
        columns: dict[str, pa.Array] = {
            'episode_id': ids.take(of),
            'robot': pa.array(['g1_01']).take(pa.array(np.zeros(rows, int))),
            'task': pa.array(['restock', 'correct', 'tea', 'juice']).take(pa.array(number % 4)),
            'instruction': pa.array(['do it', 'do that']).take(pa.array(number % 2)),
            'kind': pa.array(['rollout']).take(pa.array(np.zeros(rows, int))),
            'outcome': pa.array(['success', 'failure']).take(pa.array(number % 2)),
            'seed': pa.array(number.astype(np.uint64)),
            'ended_wall_s': pa.array(1.8e9 + 20.0 * number),
            'label_names': pa.nulls(rows, pa.list_(pa.string())),
            't': pa.array(t),
            'stamp_s': pa.array(t / 30.0),
            'state': pa.FixedSizeListArray.from_arrays(pa.array(state), len(here.state_columns)),
            'action': pa.FixedSizeListArray.from_arrays(pa.array(action), len(here.joint_names)),
            'source': pa.array(np.ones(rows, np.uint8)),
            'policy_version': pa.array(number.astype(np.int64) // 100),
            'label': pa.nulls(rows, pa.list_(pa.float32())),
            'new_images': pa.array(np.where(t % IMAGE_EVERY == 0, 7, 0).astype(np.uint8)),
            **{name: pa.nulls(rows, pa.large_binary()) for name in here.image_columns},
        }
        batch = pa.RecordBatch.from_arrays([columns[n] for n in schema.names], schema=schema)
        yield batch.slice(0, count)
