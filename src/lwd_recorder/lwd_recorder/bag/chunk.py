"""Gathers the records of one MCAP chunk without copying the messages in it (https://mcap.dev/spec#chunk-op0x06)."""

from __future__ import annotations

import struct
import zlib

import lz4.frame
import zstandard
from mcap.opcode import Opcode

from lwd_recorder.bag.options import COMPRESSIONS, Compression

_MESSAGE = struct.Struct('<BQHIQQ')
_MESSAGE_FIELDS = 2 + 4 + 8 + 8
_CHUNK = struct.Struct('<BQQQQI')
_INDEX = struct.Struct('<BQHI')
_U32 = struct.Struct('<I')
_U64 = struct.Struct('<Q')
_ZSTD_LEVEL = 1


class ChunkBuilder:
    """One open chunk: its records are kept as they came; CRC and sizes run along."""

    def __init__(self, compression: Compression) -> None:
        """Begin.

        Args:
            compression: none, lz4 or zstd.

        Raises:
            ValueError: another one, which no reader would know.
        """
        if compression not in COMPRESSIONS:
            raise ValueError(
                f'compression {compression!r} is unknown; one of: {", ".join(COMPRESSIONS)}'
            )
        self.compression = compression
        self.name = '' if compression == 'none' else compression
        """As MCAP writes it."""
        self._reset()

    def _reset(self) -> None:
        self._pieces: list[bytes] = []
        self._crc = 0
        self.size_bytes = 0
        """Bytes of its records so far."""
        self.start_ns = self.end_ns = 0
        """Smallest and largest log time, ns."""
        self.index: dict[int, list[int]] = {}
        """By channel: log time and offset of each message, in turn."""

    def add_record(self, record: bytes) -> None:
        """Append a schema or channel record."""
        self._pieces.append(record)
        self._crc = zlib.crc32(record, self._crc)
        self.size_bytes += len(record)

    def add_message(
        self, channel_id: int, sequence: int, log_ns: int, publish_ns: int, data: bytes
    ) -> None:
        """Append a message; `data` is kept, not copied."""
        if self.index:
            self.start_ns, self.end_ns = min(self.start_ns, log_ns), max(self.end_ns, log_ns)
        else:
            self.start_ns = self.end_ns = log_ns
        self.index.setdefault(channel_id, []).extend((log_ns, self.size_bytes))
        size = _MESSAGE_FIELDS + len(data)
        head = _MESSAGE.pack(Opcode.MESSAGE, size, channel_id, sequence, log_ns, publish_ns)
        self._crc = zlib.crc32(data, zlib.crc32(head, self._crc))
        self._pieces += (head, data)
        self.size_bytes += len(head) + len(data)

    def take(self) -> tuple[list[bytes], int, int]:
        """Return the chunk as the pieces of its record, and begin the next one.

        Returns:
            The pieces; bytes of the records as stored, and unpacked.
        """
        records, unpacked = self._pieces, self.size_bytes
        if self.compression == 'lz4':
            records = [lz4.frame.compress(b''.join(records))]
        elif self.compression == 'zstd':
            records = [zstandard.ZstdCompressor(_ZSTD_LEVEL).compress(b''.join(records))]
        packed = sum(map(len, records))
        name = self.name.encode()
        length = _CHUNK.size - 9 + 4 + len(name) + 8 + packed
        head = (
            _CHUNK.pack(Opcode.CHUNK, length, self.start_ns, self.end_ns, unpacked, self._crc)
            + _U32.pack(len(name))
            + name
            + _U64.pack(packed)
        )
        self._reset()
        return [head, *records], packed, unpacked


def message_index(channel_id: int, entries: list[int]) -> bytes:
    """Return a MessageIndex record; `entries` are log time and offset of each message, in turn."""
    size = 8 * len(entries)
    head = _INDEX.pack(Opcode.MESSAGE_INDEX, 2 + 4 + size, channel_id, size)
    return head + struct.pack(f'<{len(entries)}Q', *entries)
