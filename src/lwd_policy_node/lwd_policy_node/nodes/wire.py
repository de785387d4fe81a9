"""Between messages and the cores' plain values: stamps, joint order, arrays."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time

Vector = npt.NDArray[np.float64]


def seconds(stamp: Time) -> float:
    """A stamp in s."""
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9


def stamp_of(nanoseconds: int) -> Time:
    """A stamp from ns."""
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def doubles(values: Vector) -> array[float]:
    """A float64[] field from a vector, in one copy."""
    return array('d', values.tobytes())


class JointOrder:
    """Put a message's joints in the profile's order; a sender's order is looked up once."""

    def __init__(self, names: Sequence[str]) -> None:
        """`names` are the joints wanted, in order."""
        self._names = list(names)
        self._seen: list[str] | None = None
        self._columns: npt.NDArray[np.intp] | None = None

    def columns(self, names: Sequence[str]) -> npt.NDArray[np.intp] | None:
        """Column of each wanted joint among `names`; None when one is missing."""
        if self._seen is None or self._seen != names:
            self._seen = list(names)
            place = {name: index for index, name in enumerate(names)}
            wanted = [place.get(name, -1) for name in self._names]
            self._columns = None if -1 in wanted else np.array(wanted, dtype=np.intp)
        return self._columns

    def pick(self, names: Sequence[str], values: Sequence[float]) -> Vector | None:
        """The wanted joints' values (A,), float64; None when names or values do not fit."""
        columns = self.columns(names)
        if columns is None or len(values) != len(names):
            return None
        return np.asarray(values, dtype=np.float64)[columns]
