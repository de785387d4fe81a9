"""Rewriting a data set's files without moving a row: small ones merged, images of pruned episodes let go.

Lance orders files by their number, and what its own `compact_files` writes gets the highest ones: small files in front
of a large one, merged, would land behind it, and rows would change the numbers that everything else knows them by. Here
a merged file takes the number of the last one that it replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from lance import LanceDataset, LanceOperation
from lance.fragment import write_fragments

from lwd_learner.replay.storage import storage_options

FILE_BYTES = 512 << 20
"""Files of this size are not merged any further."""
_ROWS_AT_ONCE = 64
"""Rows whose images are in memory while files are rewritten."""

Change = Callable[[int, pa.RecordBatch], pa.RecordBatch]
"""From a batch, and the row number at which it begins, to what is written instead."""


def rows_of_a_file(data: Any) -> int:
    """As many rows as make FILE_BYTES: with large images a compaction must not rewrite gigabytes each time."""
    files = [file for fragment in data.get_fragments() for file in fragment.data_files()]
    size = sum(file.file_size_bytes or 0 for file in files)
    row_bytes = max(1, int(size) // max(1, int(data.count_rows())))
    return min(max(FILE_BYTES // row_bytes, 4096), 1 << 18)


def small_files(data: Any) -> int:
    """Files that a compaction could merge."""
    return sum(len(run) for run in _runs(data))


def merge_small_files(data: Any, uri: str) -> Any:
    """Merge neighbouring small files; answers the data set at the version that this made."""
    groups = []
    for run in _runs(data):
        written = _write(data, uri, run, lambda _row, batch: batch)
        written.id = run[-1].fragment_id
        groups.append(
            LanceOperation.RewriteGroup([fragment.metadata for fragment in run], [written])
        )
    return _commit(data, uri, LanceOperation.Rewrite(groups, [])) if groups else data


def drop_images(
    data: Any, uri: str, columns: Sequence[str], spans: Sequence[tuple[int, int]]
) -> Any:
    """Write null instead of the images of rows start <= row < stop; answers the data set at the new version."""
    wanted = set(columns)
    starts, stops = np.array(spans, np.int64).reshape(-1, 2).T

    def without(row: int, batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = np.arange(row, row + len(batch))
        gone = pa.array(_covered(rows, starts, stops))
        arrays = [
            pc.if_else(gone, pa.scalar(None, column.type), column) if name in wanted else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)

    replaced, first = [], 0
    for fragment in data.get_fragments():
        stop = first + fragment.count_rows()
        if ((starts < stop) & (stops > first)).any():
            written = _write(data, uri, [fragment], without, first)
            replaced.append(
                LanceOperation.DataReplacementGroup(fragment.fragment_id, written.files[0])
            )
        first = stop
    return _commit(data, uri, LanceOperation.DataReplacement(replaced)) if replaced else data


def _covered(
    rows: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    order = np.argsort(starts)
    at = np.searchsorted(starts[order], rows, 'right') - 1
    covered: npt.NDArray[np.bool_] = (at >= 0) & (rows < stops[order][np.maximum(at, 0)])
    return covered


def _runs(data: Any) -> list[list[Any]]:
    """Neighbouring small files, two or more, that together make one file."""
    most = rows_of_a_file(data)
    runs: list[list[Any]] = []
    run: list[Any] = []
    rows = 0
    for fragment in data.get_fragments():
        count = fragment.count_rows()
        if run and (count >= most or rows + count > most + most // 2):
            runs.append(run)
            run, rows = [], 0
        if count < most:
            run.append(fragment)
            rows += count
    return [run for run in [*runs, run] if len(run) > 1]


def _write(data: Any, uri: str, fragments: Sequence[Any], change: Change, first: int = 0) -> Any:
    def batches() -> Iterator[pa.RecordBatch]:
        row = first
        for fragment in fragments:
            for batch in fragment.to_batches(batch_size=_ROWS_AT_ONCE):
                yield change(row, batch)
                row += len(batch)

    (written,) = write_fragments(
        pa.RecordBatchReader.from_batches(data.schema, batches()),
        data,
        mode='append',
        max_rows_per_file=1 << 30,
        max_bytes_per_file=1 << 40,
        storage_options=storage_options(uri),
    )
    return written


def _commit(data: Any, uri: str, operation: Any) -> Any:
    return LanceDataset.commit(
        data, operation, read_version=data.version, storage_options=storage_options(uri)
    )
