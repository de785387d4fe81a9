"""States, actions and labels of all rows: in memory while they are small enough, else read when asked for.

A G1's row has 224 bytes of them, and all else that an index holds of a row has 72. A laptop's replay therefore lies in
memory whole; one of ten million frames costs a reader 1 GB instead of 3, and a batch some milliseconds more, which
vanish beside the decoding of its images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lwd_learner.replay.growable import GrowableArray

ReadRows = Callable[[npt.NDArray[np.int64], Sequence[str]], pa.Table]
"""Ascending, distinct local rows and the columns to read of them."""

COLUMNS = ('state', 'action', 'label')
_AT_ONCE = 1 << 18


class LowDimensional:
    """The columns `state`, `action` and `label` of one data set."""

    def __init__(self, state_columns: int, joints: int, read: ReadRows) -> None:
        """Begin with no rows, in memory."""
        self._widths = {'state': state_columns, 'action': joints, 'label': 0}
        self._read = read
        self._rows = 0
        self._memory: dict[str, GrowableArray[np.float32]] | None = {
            name: GrowableArray(np.float32, (width,)) for name, width in self._widths.items()
        }

    @property
    def in_memory(self) -> bool:
        """Whether the rows are held; once given up, they are not taken back."""
        return self._memory is not None

    @property
    def row_bytes(self) -> int:
        """Bytes that a row takes in memory."""
        return 4 * sum(self._widths.values())

    def width(self, name: str) -> int:
        """Columns of `name`; of labels, the most that any episode has so far."""
        return self._widths[name]

    def give_up(self) -> None:
        """Forget what is in memory: from now on rows are read when asked for."""
        self._memory = None

    def widen(self, labels: int) -> None:
        """Make room for an episode with more labels than any before."""
        if labels <= self._widths['label']:
            return
        if self._memory is not None:
            old = self._memory['label'].data
            wider = GrowableArray(np.float32, (labels,))
            wider.extend(_padded(old, labels))
            self._memory['label'] = wider
        self._widths['label'] = labels

    def extend(self, table: pa.Table | None, rows: int) -> None:
        """Take `rows` more rows; `table` holds their columns if they are kept in memory."""
        self._rows += rows
        if self._memory is not None and table is not None:
            for name, memory in self._memory.items():
                memory.extend(self._matrix(table, name))

    def take(
        self, name: str, rows: npt.NDArray[np.int64] | npt.NDArray[np.intp]
    ) -> npt.NDArray[np.float32]:
        """`name` of local rows (any shape, any order, repeats too), shape (*rows.shape, width)."""
        return self.take_all({name: rows})[name]

    def take_all(
        self, wanted: dict[str, npt.NDArray[np.int64]] | dict[str, npt.NDArray[np.intp]]
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Several columns, each of its own rows, in one read."""
        if self._memory is not None:
            return {name: self._memory[name].data[rows] for name, rows in wanted.items()}
        flat = np.concatenate([rows.reshape(-1) for rows in wanted.values()])
        distinct = np.unique(flat)
        table = self._read(distinct, list(wanted))
        return {
            name: self._matrix(table, name)[np.searchsorted(distinct, rows)]
            for name, rows in wanted.items()
        }

    def all_rows(self, name: str) -> npt.NDArray[np.float32]:
        """`name` of every row, (N, width); reads all of it where it is not in memory."""
        if self._memory is not None:
            return self._memory[name].data
        out = np.empty((self._rows, self._widths[name]), np.float32)
        for start in range(0, self._rows, _AT_ONCE):
            stop = min(start + _AT_ONCE, self._rows)
            out[start:stop] = self._matrix(self._read(np.arange(start, stop), [name]), name)
        return out

    def _matrix(self, table: pa.Table, name: str) -> npt.NDArray[np.float32]:
        width = self._widths[name]
        if name == 'label':
            return _labels(table[name], width)
        parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table[name].chunks]
        flat: npt.NDArray[np.float32] = np.concatenate(parts) if parts else np.empty(0, np.float32)
        return flat.reshape(-1, width)


class Column:
    """One of the columns as other parts of the learner read it."""

    def __init__(self, of: LowDimensional, name: str) -> None:
        self._of = of
        self._name = name

    @property
    def data(self) -> npt.NDArray[np.float32]:
        """(N, width); prefer `take` for a few rows of a large replay."""
        return self._of.all_rows(self._name)

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """(*rows.shape, width)."""
        return self._of.take(self._name, rows)

    @property
    def width(self) -> int:
        """Columns of a row."""
        return self._of.width(self._name)


def _labels(column: pa.ChunkedArray, width: int) -> npt.NDArray[np.float32]:
    """(M, width) with NaN where a row has fewer."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    widths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    out = np.full((len(widths), width), np.nan, np.float32)
    if width and len(widths):
        values = array.flatten().to_numpy(zero_copy_only=False)
        if (widths == width).all():
            out[:] = values.reshape(-1, width)
        else:
            out[np.arange(width) < widths[:, None]] = values
    return out


def _padded(values: npt.NDArray[np.float32], width: int) -> npt.NDArray[np.float32]:
    out = np.full((len(values), width), np.nan, np.float32)
    out[:, : values.shape[1]] = values
    return out
