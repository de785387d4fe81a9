"""Reads CDR (the wire format of ROS 2 messages) with every length checked against the bytes that are there.

Bags are untrusted input. Only the parts of messages that become frames are read, without rclpy.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from lwd_learner.ingest.errors import DamagedMessageError

_HEADER_BYTES = 4  # encapsulation: two bytes of representation, two of options
_BIG_ENDIAN, _LITTLE_ENDIAN = b'\x00\x00', b'\x00\x01'


class CdrReader:
    """A cursor over one serialized message; alignment counts from behind the encapsulation header."""

    __slots__ = ('_at', '_data', '_order', '_scalars')

    def __init__(self, data: bytes | memoryview) -> None:
        """Begin at a message's first field.

        Raises:
            DamagedMessageError: no plain CDR encapsulation.
        """
        kind = data[:2]
        if len(data) < _HEADER_BYTES or kind not in (_BIG_ENDIAN, _LITTLE_ENDIAN):
            raise DamagedMessageError(
                f'a message of {len(data)} bytes does not begin as plain CDR'
            )
        self._data = data
        self._at = _HEADER_BYTES
        self._order = '<' if kind == _LITTLE_ENDIAN else '>'

    def number(self, code: str, size: int) -> int:
        """One integer; `code` is struct's, `size` its bytes."""
        start = self._take(size, size)
        value: int = struct.unpack_from(self._order + code, self._data, start)[0]
        return value

    def uint32(self) -> int:
        """One uint32."""
        return self.number('I', 4)

    def stamp_ns(self) -> int:
        """A builtin_interfaces/Time, ns."""
        start = self._take(4, 8)
        seconds, nanoseconds = struct.unpack_from(self._order + 'iI', self._data, start)
        return int(seconds) * 1_000_000_000 + int(nanoseconds)

    def string(self) -> str:
        """A string."""
        start = self._take(1, size := self.uint32())
        if size == 0:
            return ''
        try:
            return str(self._data[start : start + size - 1], 'utf-8')
        except UnicodeDecodeError as error:
            raise DamagedMessageError(f'a string in a message is not UTF-8: {error}') from error

    def skip_string(self) -> None:
        """Pass a string by."""
        self._take(1, self.uint32())

    def strings(self) -> tuple[str, ...]:
        """A sequence of strings."""
        count = self.uint32()
        if count > len(self._data):
            raise DamagedMessageError(f'a message claims a list of {count} strings')
        return tuple(self.string() for _ in range(count))

    def block(self, size: int) -> bytes | memoryview:
        """The next `size` bytes without moving on; fewer at the end."""
        start = self._aligned(4)
        return self._data[start : start + size]

    def skip(self, size: int) -> None:
        """Pass `size` bytes by, from the next multiple of four."""
        self._take(4, size)

    def position(self) -> int:
        """Offset of the next multiple of four."""
        return self._aligned(4)

    def bytes_from(self, start: int) -> bytes:
        """What was read since `start` (a `position`)."""
        return bytes(self._data[start : self._at])

    def octets(self) -> bytes | memoryview:
        """A sequence of bytes: a part of the message, not a copy."""
        size = self.uint32()
        start = self._take(1, size)
        return self._data[start : start + size]

    def doubles(self) -> npt.NDArray[np.float64]:
        """A sequence of float64 (a copy)."""
        return self._sequence('f8', 8).astype(np.float64)

    def floats(self) -> npt.NDArray[np.float32]:
        """A sequence of float32."""
        return self._sequence('f4', 4).astype(np.float32)

    def skip_doubles(self) -> None:
        """Pass a sequence of float64 by."""
        self._sequence('f8', 8)

    def _sequence(self, code: str, size: int) -> npt.NDArray[np.generic]:
        count = self.uint32()
        if count == 0:
            return np.empty(0, code)
        start = self._take(size, count * size)
        return np.frombuffer(self._data, self._order + code, count, start)

    def _aligned(self, alignment: int) -> int:
        return self._at + (_HEADER_BYTES - self._at) % alignment

    def _take(self, alignment: int, size: int) -> int:
        start = self._aligned(alignment)
        if start + size > len(self._data):
            raise DamagedMessageError(
                f'a message ends after {len(self._data)} bytes, a field of it needs {start + size}'
            )
        self._at = start + size
        return start
