"""Walks through an MCAP file as far as it can be believed: the records before the first damage, verified one by one.

A file that was never finished, was cut off, or has a flipped bit is read up to there; what comes after is counted,
never guessed at.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Chunk, Message, Metadata, Schema

from lwd_recorder.bag.index_check import IndexCheck
from lwd_recorder.bag.reader import DAMAGE, MAX_RECORD_BYTES, unpacked

MAGIC = b'\x89MCAP0\r\n'
_HEADER = struct.Struct('<BQ')
_MESSAGE = struct.Struct('<HIQQ')
_SPAN = struct.Struct('<QQ')
_U32 = struct.Struct('<I')
_FOOTER = struct.Struct('<BQQQI')
_PLAUSIBLE_NS = 3600 * 10**9
_READERS: dict[int, Any] = {
    Opcode.SCHEMA: Schema,
    Opcode.CHANNEL: Channel,
    Opcode.METADATA: Metadata,
    Opcode.ATTACHMENT: Attachment,
}


class Inside(NamedTuple):
    """A record and where it begins in its unpacked chunk, bytes; 0 outside of chunks."""

    record: Schema | Channel | Message | Metadata | Attachment
    offset: int


class Piece(NamedTuple):
    """One verified record of the data section."""

    opcode: int
    """Its MCAP opcode."""
    raw: bytes
    """All of it, with opcode and length."""
    inside: list[Inside]
    """The chunk's records, or the one record itself."""
    span_ns: tuple[int, int]
    """A chunk's smallest and largest log time; zeros for others."""
    packed: tuple[str, int, int]
    """A chunk's compression, packed bytes and unpacked bytes; empty for others."""


class _RecordStream(ReadDataStream):
    """The bytes of one record. A field that passes their end is damage, where mcap gives what is left."""

    def __init__(self, body: bytes | memoryview) -> None:
        super().__init__(BytesIO(body))

    def read(self, length: int) -> bytes:
        data: bytes = super().read(length)
        if len(data) < length:
            raise EOFError('a field passes the end of its record')
        return data


class VerifiedFile:
    """One .mcap file. Iterate `pieces` to the end; the facts below are known then."""

    def __init__(self, path: Path) -> None:
        """Look at the file's size.

        Raises:
            OSError: it is not there.
        """
        self.path = path
        self.size_bytes = path.stat().st_size
        """Size of the file."""
        self.verified_bytes = 0
        """Bytes from its beginning to the first damage, message indexes that are cut off left out."""
        self.damage = ''
        """What is wrong behind the verified bytes; empty when the data section was ended in order."""
        self.lost_until_ns = 0
        """Largest log time that what was lost still speaks of; 0 when unknown."""
        self.finished = False
        """Whether the file ends as it should, its indexes and its summary verified."""
        self.types: dict[int, tuple[Channel, str]] = {}
        """Channel and type name by channel id."""
        self._schemas: dict[int, str] = {}
        self._last_ns = 0
        self._chunked = False
        self._with_crc = False

    def pieces(self) -> Iterator[Piece]:
        """Yield the verified records of the data section, indexes left out, until its end or the first damage.

        Raises:
            OSError: the disk does not give the bytes.
        """
        indexes = IndexCheck()
        with self.path.open('rb') as file:
            if file.read(len(MAGIC)) != MAGIC:
                self.damage = 'it does not begin as an MCAP file'
                return
            self.verified_bytes = len(MAGIC)
            while True:
                try:
                    raw = self._next(file)
                    if raw[0] == Opcode.DATA_END:
                        self.verified_bytes = file.tell()
                        indexes.end()
                        self.finished = (
                            _is_summary(file.read(MAX_RECORD_BYTES)) and not indexes.wrong
                        )
                        return
                    piece = self._verified(raw)
                    if raw[0] == Opcode.MESSAGE_INDEX:
                        indexes.index(raw)
                    elif piece is not None and piece.opcode == Opcode.CHUNK:
                        indexes.chunk(_messages_of(piece))
                    elif piece is None and not _is_header(raw):
                        indexes.wrong = (
                            True  # a record that is left out: the file is written anew without it
                        )
                except DAMAGE as error:
                    self.damage = f'byte {self.verified_bytes}: {error}'
                    self._look_behind(file)
                    return
                self.verified_bytes = file.tell()
                if piece is not None:
                    yield piece

    def _next(self, file: IO[bytes]) -> bytes:
        start = file.tell()
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            raise EOFError('the file ends here' if not header else 'a record is cut off')
        opcode, length = _HEADER.unpack(header)
        if length > min(MAX_RECORD_BYTES, self.size_bytes - start - _HEADER.size):
            raise EOFError(f'a record of {length} bytes is cut off')
        if opcode == 0:
            raise ValueError('a record of kind 0')
        return header + file.read(length)

    def _verified(self, raw: bytes) -> Piece | None:
        opcode = raw[0]
        stream = _RecordStream(raw[_HEADER.size :])
        if opcode == Opcode.CHUNK:
            chunk = Chunk.read(stream)  # type: ignore[no-untyped-call]
            if stream.count != len(raw) - _HEADER.size:
                raise ValueError('a chunk does not fill its record')
            if chunk.uncompressed_crc == 0 and self._with_crc:
                raise ValueError('a chunk without a CRC among others that have one')
            self._with_crc |= chunk.uncompressed_crc != 0
            packed = (chunk.compression, len(chunk.data), chunk.uncompressed_size)
            inside = list(self._inside(unpacked(chunk).data))
            span_ns = (chunk.message_start_time, chunk.message_end_time)
            times = [one.record.log_time for one in inside if isinstance(one.record, Message)]
            if times and span_ns != (min(times), max(times)):
                raise ValueError('the times of a chunk are not those of its messages')
            self._last_ns = max(self._last_ns, span_ns[1])
            self._chunked = True
            return Piece(opcode, raw, inside, span_ns, packed)
        if opcode == Opcode.MESSAGE and self._chunked:
            return None  # nothing says that it is one: an index with a flipped bit looks like that
        if opcode == Opcode.MESSAGE:
            message = self._message(memoryview(raw)[_HEADER.size :])
            return Piece(opcode, raw, [Inside(message, 0)], (0, 0), ('', 0, 0))
        kind = _READERS.get(opcode)
        if kind is None:  # header, indexes and what later versions of MCAP may bring
            return None
        if opcode == Opcode.ATTACHMENT:
            (crc,) = _U32.unpack(raw[-4:])
            if crc != 0 and zlib.crc32(memoryview(raw)[_HEADER.size : -4]) != crc:
                raise ValueError('an attachment fails its CRC')
        record = kind.read(stream)
        self._learn(record)
        return Piece(opcode, raw, [Inside(record, 0)], (0, 0), ('', 0, 0))

    def _inside(self, data: bytes) -> Iterator[Inside]:
        view = memoryview(data)
        at = 0
        while at < len(view):
            opcode, length = _HEADER.unpack_from(view, at)
            body = view[at + _HEADER.size : at + _HEADER.size + length]
            if len(body) != length:
                raise ValueError('a record passes the end of its chunk')
            if opcode == Opcode.MESSAGE:
                yield Inside(self._message(body), at)
            elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
                record = _READERS[opcode].read(_RecordStream(body))
                self._learn(record)
                yield Inside(record, at)
            at += _HEADER.size + length

    def _message(self, body: memoryview) -> Message:
        channel_id, sequence, log_time, publish_time = _MESSAGE.unpack_from(body)
        if channel_id not in self.types:
            raise ValueError(f'a message of the unknown channel {channel_id}')
        data = bytes(body[_MESSAGE.size :])
        return Message(channel_id, log_time, data, publish_time, sequence)

    def _learn(self, record: object) -> None:
        if isinstance(record, Schema):
            self._schemas[record.id] = record.name
        elif isinstance(record, Channel):
            if record.schema_id not in self._schemas:
                raise ValueError(f'topic {record.topic} has no schema')
            self.types[record.id] = (record, self._schemas[record.schema_id])

    def _look_behind(self, file: IO[bytes]) -> None:
        """Ask the headers of chunks behind the damage, as far as they lead on, up to which time they go."""
        at = self.verified_bytes
        while at + _HEADER.size + _SPAN.size <= self.size_bytes:
            file.seek(at, os.SEEK_SET)
            head = file.read(_HEADER.size + _SPAN.size)
            opcode, length = _HEADER.unpack_from(head)
            if opcode == Opcode.CHUNK:
                start_ns, end_ns = _SPAN.unpack_from(head, _HEADER.size)
                if start_ns <= end_ns <= self._last_ns + _PLAUSIBLE_NS:
                    self.lost_until_ns = max(self.lost_until_ns, end_ns)
            at += _HEADER.size + length


def _is_header(raw: bytes) -> bool:
    """Return whether a record is a header that every reader can read: two texts, each after its length."""
    body, texts = raw[_HEADER.size :], 0
    while len(body) >= _U32.size:
        (length,) = _U32.unpack_from(body)
        text, body, texts = body[_U32.size :][:length], body[_U32.size + length :], texts + 1
        if len(text) < length or not text.isascii():
            return False
    return raw[0] == Opcode.HEADER and texts == 2 and not body


def _messages_of(piece: Piece) -> Iterator[tuple[int, int, int]]:
    for record, offset in piece.inside:
        if isinstance(record, Message):
            yield record.channel_id, record.log_time, offset


def _is_summary(data: bytes) -> bool:
    """Return whether bytes are a summary section, its footer and the closing magic, the CRC right."""
    footer = data[-len(MAGIC) - _FOOTER.size : -len(MAGIC)]
    if not data.endswith(MAGIC) or len(footer) < _FOOTER.size:
        return False
    opcode, length, _, _, crc = _FOOTER.unpack(footer)
    if opcode != Opcode.FOOTER or length != _FOOTER.size - _HEADER.size:
        return False
    return bool(crc == 0 or zlib.crc32(data[: -len(MAGIC) - _U32.size]) == crc)
