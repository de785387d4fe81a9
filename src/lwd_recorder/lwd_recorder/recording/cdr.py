"""Reads a few leading fields out of serialized messages without deserializing them.

The recorder sees every message as CDR bytes; turning 75 messages a second into Python objects would cost more than
recording them. Only plain little-endian CDR (encapsulation 00 01), which every ROS 2 middleware of today writes on
x86 and ARM, is understood; anything else is a `CdrError`.
"""

from __future__ import annotations

import struct

_STAMP = struct.Struct('<iI')
_U32 = struct.Struct('<I')
_U64 = struct.Struct('<Q')
_LITTLE_ENDIAN = b'\x00\x01'
_ORIGIN = 4


class CdrError(ValueError):
    """Bytes are not the message that they should be."""


def stamp_ns(data: bytes) -> int:
    """Return the stamp of a message that begins with a std_msgs/Header, ns.

    Raises:
        CdrError: the bytes are too short or not little-endian CDR, or the stamp is negative.
    """
    if data[:2] != _LITTLE_ENDIAN or len(data) < _ORIGIN + _STAMP.size:
        raise CdrError(f'no header stamp in {len(data)} bytes beginning {data[:4].hex()}')
    seconds, nanoseconds = _STAMP.unpack_from(data, _ORIGIN)
    if seconds < 0:
        raise CdrError(f'the header stamp is {seconds} s, before all time')
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


class CdrCursor:
    """Walks through a message's fields in their order."""

    __slots__ = ('_data', '_position')

    def __init__(self, data: bytes) -> None:
        """Begin at the first field.

        Raises:
            CdrError: the encapsulation is not little-endian CDR.
        """
        if data[:2] != _LITTLE_ENDIAN:
            raise CdrError(f'encapsulation {data[:4].hex()} is not little-endian CDR')
        self._data = data
        self._position = _ORIGIN

    def skip_header(self) -> None:
        """Pass a std_msgs/Header."""
        self._position += _STAMP.size
        self.text()

    def u8(self) -> int:
        """Return a uint8."""
        if self._position >= len(self._data):
            raise CdrError(f'message ends at byte {len(self._data)}, in the middle of a field')
        value = self._data[self._position]
        self._position += 1
        return value

    def u32(self) -> int:
        """Return a uint32."""
        return self._number(_U32, 4)

    def u64(self) -> int:
        """Return a uint64."""
        return self._number(_U64, 8)

    def text(self) -> str:
        """Return a string."""
        length = self.u32()
        start, self._position = self._position, self._position + length
        if self._position > len(self._data):
            raise CdrError(f'a string of {length} bytes passes the end of the message')
        return self._data[start : self._position - 1].decode('utf-8', 'replace') if length else ''

    def skip_texts(self) -> None:
        """Pass a sequence of strings."""
        for _ in range(self.u32()):
            length = self.u32()
            self._position += length

    def skip_numbers(self, size: int) -> None:
        """Pass a sequence of numbers of `size` bytes each."""
        count = self.u32()
        if count:
            self._align(size)
            self._position += count * size

    def _align(self, size: int) -> None:
        self._position += (_ORIGIN - self._position) % size

    def _number(self, layout: struct.Struct, size: int) -> int:
        self._align(size)
        try:
            value = layout.unpack_from(self._data, self._position)[0]
        except struct.error:
            raise CdrError(
                f'message ends at byte {len(self._data)}, in the middle of a field'
            ) from None
        self._position += size
        return int(value)
