"""Where LeRobotDataset v3.0 keeps what, and what each column is called.

This is the one place that knows the format's names. Columns that begin with `lwd.` and episode facts that begin with
`lwd/` are ours: LeRobot carries them along, and our own import restores an episode exactly by them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lwd_learner.interop.errors import InteropError

CODEBASE_VERSION = 'v3.0'
CHUNKS_SIZE = 1000  # files of one chunk folder
DATA_FILE_MB, VIDEO_FILE_MB = 100, 200  # a new file is begun once one is larger
DATA_PATH = 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'
VIDEO_PATH = 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4'
EPISODES_PATH = 'meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'
INFO_PATH, STATS_PATH, TASKS_PATH = 'meta/info.json', 'meta/stats.json', 'meta/tasks.parquet'
LAYOUT_PATH = 'meta/lwd.json'
"""Ours: the replay's layout, by which an export is read back without a mapping."""

STATE, ACTION = 'observation.state', 'action'
SOURCE, POLICY_VERSION, NEW_IMAGES, STAMP, LABEL = (
    'lwd.source',
    'lwd.policy_version',
    'lwd.new_images',
    'lwd.stamp_ns',
    'lwd.label',
)
REWARD, DONE = 'next.reward', 'next.done'
COUNTERS = ('timestamp', 'frame_index', 'episode_index', 'index', 'task_index')
INDEX_NAME = '__index_level_0__'  # pandas' name of an index that has none: where tasks.parquet keeps the sentences


def camera_key(camera: str) -> str:
    """The feature of a camera."""
    return f'observation.images.{camera}'


def feature(dtype: str, names: list[str] | None, size: int = 1) -> dict[str, Any]:
    """A vector or scalar feature of info.json."""
    return {'dtype': dtype, 'shape': [size], 'names': names}


def video_feature(height: int, width: int, fps: int, codec: str, pixels: str) -> dict[str, Any]:
    """A camera's feature of info.json."""
    return {
        'dtype': 'video',
        'shape': [height, width, 3],
        'names': ['height', 'width', 'channels'],
        'info': {
            'video.height': height,
            'video.width': width,
            'video.codec': codec,
            'video.pix_fmt': pixels,
            'video.is_depth_map': False,
            'video.fps': fps,
            'video.channels': 3,
            'has_audio': False,
        },
    }


def counter_features() -> dict[str, dict[str, Any]]:
    """The features that every data set has."""
    return {
        name: feature('float32' if name == 'timestamp' else 'int64', None) for name in COUNTERS
    }


def write_tasks(root: Path, sentences: list[str]) -> None:
    """Write tasks.parquet: the sentences are a pandas index, their numbers a column."""
    table = pa.table(
        {
            'task_index': pa.array(range(len(sentences)), pa.int64()),
            INDEX_NAME: pa.array(sentences, pa.string()),
        }
    )
    column = {'metadata': None, 'name': None, 'field_name': INDEX_NAME}
    pandas = {
        'index_columns': [INDEX_NAME],
        'column_indexes': [
            {
                'name': None,
                'field_name': None,
                'pandas_type': 'unicode',
                'numpy_type': 'object',
                'metadata': {'encoding': 'UTF-8'},
            }
        ],
        'columns': [
            {
                'name': 'task_index',
                'field_name': 'task_index',
                'pandas_type': 'int64',
                'numpy_type': 'int64',
                'metadata': None,
            },
            {**column, 'pandas_type': 'unicode', 'numpy_type': 'object'},
        ],
        'creator': {'library': 'pyarrow', 'version': pa.__version__},
        'pandas_version': '2.2.0',
    }
    path = root / TASKS_PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({'pandas': json.dumps(pandas)}), path)


def read_tasks(root: Path) -> dict[int, str]:
    """Sentences by number, whatever the index column is called.

    Raises:
        InteropError: there is no tasks.parquet, or no sentences in it.
    """
    try:
        table = pq.read_table(root / TASKS_PATH)
    except (OSError, pa.ArrowInvalid) as error:
        raise InteropError(f'{root / TASKS_PATH} cannot be read: {error}') from error
    texts = [
        name
        for name in table.column_names
        if pa.types.is_string(table[name].type) or pa.types.is_large_string(table[name].type)
    ]
    if not texts or 'task_index' not in table.column_names:
        raise InteropError(
            f'{root / TASKS_PATH} has the columns {", ".join(table.column_names)}; expected task_index and a text'
        )
    numbers = table['task_index'].to_pylist()
    return dict(zip(numbers, table[texts[0]].to_pylist(), strict=True))


def column(values: npt.NDArray[Any], dtype: str) -> pa.Array:
    """A parquet column of (T,) or (T, D) values."""
    flat = np.ascontiguousarray(values).astype(dtype)
    if flat.ndim == 1:
        return pa.array(flat)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), flat.shape[1])
