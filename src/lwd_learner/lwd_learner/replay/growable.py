"""A numpy array that grows at its end in amortised constant time."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

ScalarT = TypeVar('ScalarT', bound=np.generic)


class GrowableArray(Generic[ScalarT]):
    """Append-only array of shape (N, *tail); `data` is a view of what was appended so far.

    A view taken earlier stays valid and unchanged: growing copies into a new buffer and never moves written values.
    """

    __slots__ = ('_buffer', '_size')

    def __init__(self, dtype: type[ScalarT], tail: tuple[int, ...] = ()) -> None:
        self._buffer: npt.NDArray[ScalarT] = np.empty((0, *tail), dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def data(self) -> npt.NDArray[ScalarT]:
        """View of shape (N, *tail)."""
        return self._buffer[: self._size]

    def reserve(self, more: int) -> None:
        """Make room for `more` values at once, where it is known how many will come."""
        needed = self._size + more
        if needed > len(self._buffer):
            capacity = max(needed, len(self._buffer) + len(self._buffer) // 2, 1024)
            grown = np.empty((capacity, *self._buffer.shape[1:]), self._buffer.dtype)
            grown[: self._size] = self._buffer[: self._size]
            self._buffer = grown

    def extend(self, values: npt.NDArray[Any]) -> None:
        """Append (M, *tail) values."""
        self.reserve(len(values))
        needed = self._size + len(values)
        self._buffer[self._size : needed] = values
        self._size = needed
