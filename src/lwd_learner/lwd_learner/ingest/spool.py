"""JPEGs on their way from the bag into the replay: on disk, so that memory does not depend on an episode's length."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_BUFFER_BYTES = 1 << 20


class JpegSpool:
    """An append-only file without a name; the JPEGs of one camera, in the order of the bag."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix='lwd-ingest-', buffering=0)  # noqa: SIM115
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._ends: list[int] = [0]

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, jpeg: memoryview) -> int:
        """Keep a JPEG; answers its number."""
        self._waiting.append(bytes(jpeg))
        self._waiting_bytes += len(jpeg)
        if self._waiting_bytes >= _BUFFER_BYTES:
            self.flush()
        self._ends.append(self._ends[-1] + len(jpeg))
        return len(self._ends) - 2

    def read(self, number: int) -> bytes:
        """One JPEG."""
        return self._bytes(self._ends[number], self._ends[number + 1])

    def column(self, numbers: npt.NDArray[np.int64]) -> pa.Array:
        """The JPEGs of these numbers as large_binary, null where a number is -1.

        Numbers that rise by one, the usual case, are one read and no copy.
        """
        have = numbers[numbers >= 0]
        if len(have) == 0:
            return pa.nulls(len(numbers), pa.large_binary())
        ends = np.array(self._ends, np.int64)
        if (np.diff(have) == 1).all():
            first = self._ends[int(have[0])]
            data = self._bytes(first, self._ends[int(have[-1]) + 1])
        else:
            data = b''.join(map(self.read, have.tolist()))
        sizes = np.zeros(len(numbers), np.int64)
        sizes[numbers >= 0] = ends[have + 1] - ends[have]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        valid = None
        if len(have) < len(numbers):
            valid = pa.py_buffer(np.packbits(numbers >= 0, bitorder='little'))
        buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(data)]
        return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(numbers), buffers)

    def close(self) -> None:
        """Free the disk."""
        self._file.close()

    def flush(self) -> None:
        """Write what waits, so that whoever appended meets a full disk, and no later reader."""
        data = b''.join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        while data:
            data = data[self._file.write(data) :]

    def _bytes(self, start: int, stop: int) -> bytes:
        if self._waiting:
            self.flush()
        data = os.pread(self._file.fileno(), stop - start, start)
        if len(data) != stop - start:
            raise OSError(
                f'the temporary file of an episode has lost {stop - start - len(data)} of {stop - start} bytes'
            )
        return data


class SpooledFrames(Sequence[bytes | None]):
    """T entries of one camera for `EpisodeFrames.jpeg`, read from the spool when asked for."""

    def __init__(self, spool: JpegSpool, numbers: npt.NDArray[np.int64]) -> None:
        """Entry t is the spool's JPEG `numbers[t]`, None where that is -1."""
        self.spool = spool
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, at: int) -> bytes | None: ...

    @overload
    def __getitem__(self, at: slice) -> SpooledFrames: ...

    def __getitem__(self, at: int | slice) -> bytes | SpooledFrames | None:
        """One entry, or a part without reading it."""
        if isinstance(at, slice):
            return SpooledFrames(self.spool, self.numbers[at])
        number = int(self.numbers[at])
        return None if number < 0 else self.spool.read(number)

    def __iter__(self) -> Iterator[bytes | None]:
        return (self[t] for t in range(len(self)))

    def present(self) -> npt.NDArray[np.bool_]:
        """(T,) whether the entry is a JPEG."""
        present: npt.NDArray[np.bool_] = self.numbers >= 0
        return present

    def column(self, start: int, stop: int) -> pa.Array:
        """Entries start <= t < stop as large_binary."""
        return self.spool.column(self.numbers[start:stop])
