"""Repairs one .mcap file: the verified records before the first damage, copied as they are, and a new summary.

The new file is written beside the old one and is durable before anybody moves the old one away.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from array import array
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Attachment,
    AttachmentIndex,
    Channel,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    Message,
    MessageIndex,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)

from lwd_recorder.bag.records import FileRecord
from lwd_recorder.bag.verified import MAGIC, Inside, Piece, VerifiedFile

OnMessage = Callable[[str, str, Message], None]
"""Called with topic, type name and message."""
ROSBAG2_METADATA = 'rosbag2'
"""MCAP metadata record that repeats metadata.yaml: it is left out, for what it says is no longer true."""


@dataclass(slots=True)
class TopicScan:
    """What a file holds of one topic."""

    type_name: str
    """Message type."""
    qos: str = ''
    """Offered QoS as rosbag2 writes it, YAML."""
    stamps_ns: array[int] = field(default_factory=lambda: array('q'))
    """Publish times in the order of the file, ns."""
    logs_ns: array[int] = field(default_factory=lambda: array('q'))
    """Log times of the same messages, ns."""


@dataclass(frozen=True, slots=True)
class FileScan:
    """What was found in one file."""

    path: Path
    """The file."""
    size_bytes: int
    """Its size."""
    verified_bytes: int
    """Bytes before the first damage."""
    whole: bool
    """Whether nothing is wrong with it."""
    damage: str
    """What is wrong with it; empty when it was not finished, but what is there is right."""
    topics: dict[str, TopicScan]
    """What it holds, by topic name."""
    start_ns: int
    """Smallest log time, ns; 0 when empty."""
    end_ns: int
    """Largest log time, ns; 0 when empty."""
    lost_until_ns: int
    """Largest log time that the damaged part speaks of; 0 when unknown."""
    record: FileRecord | None
    """The repaired file; None when it was only scanned."""

    @property
    def count(self) -> int:
        """Verified messages."""
        return sum(len(topic.stamps_ns) for topic in self.topics.values())

    @property
    def lost_bytes(self) -> int:
        """Bytes behind the verified ones; none of a whole file."""
        return 0 if self.whole else self.size_bytes - self.verified_bytes


def scan_file(path: Path, on_message: OnMessage | None = None) -> FileScan:
    """Read a file as far as it is right; nothing is written.

    Raises:
        OSError: the disk does not give the bytes.
    """
    return _walk(path, on_message, None)


def repair_file(path: Path, target: Path, on_message: OnMessage | None = None) -> FileScan:
    """Write what is right of a file into a new one, finished and durable.

    Args:
        path: the damaged file; it is not touched.
        target: the new file; it must not exist.
        on_message: sees every message that was kept.

    Raises:
        OSError: the disk does not give or take the bytes; `target` is removed.
    """
    try:
        with target.open('xb') as file:
            scan = _walk(path, on_message, _Rewriter(file))
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return scan


def _walk(path: Path, on_message: OnMessage | None, rewriter: _Rewriter | None) -> FileScan:
    verified = VerifiedFile(path)
    topics: dict[str, TopicScan] = {}
    span_ns: tuple[int, int] | None = None
    for piece in verified.pieces():
        if rewriter is not None:
            rewriter.add(piece)
        for record, _ in piece.inside:
            if isinstance(record, Channel):
                channel, type_name = verified.types[record.id]
                qos = channel.metadata.get('offered_qos_profiles', '')
                topics.setdefault(channel.topic, TopicScan(type_name, qos))
            elif isinstance(record, Message):
                channel, type_name = verified.types[record.channel_id]
                low, high = span_ns or (record.log_time, record.log_time)
                span_ns = min(low, record.log_time), max(high, record.log_time)
                topics[channel.topic].stamps_ns.append(record.publish_time)
                topics[channel.topic].logs_ns.append(record.log_time)
                if on_message is not None:
                    on_message(channel.topic, type_name, record)
    start_ns, end_ns = span_ns or (0, 0)
    return FileScan(
        path=path,
        size_bytes=verified.size_bytes,
        verified_bytes=verified.verified_bytes,
        whole=verified.finished,
        damage=verified.damage,
        topics=topics,
        start_ns=start_ns,
        end_ns=end_ns,
        lost_until_ns=verified.lost_until_ns,
        record=None if rewriter is None else rewriter.finish(path.name),
    )


class _Rewriter:
    """Puts verified pieces into a new file, message indexes made anew, and ends it with a summary."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._at = 0
        self._records: dict[Opcode, list[McapRecord]] = {
            kind: []
            for kind in (
                Opcode.SCHEMA,
                Opcode.CHANNEL,
                Opcode.STATISTICS,
                Opcode.CHUNK_INDEX,
                Opcode.ATTACHMENT_INDEX,
                Opcode.METADATA_INDEX,
            )
        }
        self._known: set[tuple[type[object], int]] = set()
        self._counts: dict[int, int] = defaultdict(int)
        self._span_ns: tuple[int, int] | None = None
        self._write(MAGIC)
        self._put(Header(profile='ros2', library='lwd (repaired)'))

    def add(self, piece: Piece) -> None:
        """Append a verified record."""
        record = piece.inside[0].record if piece.inside else None
        if isinstance(record, Metadata) and record.name == ROSBAG2_METADATA:
            return
        start = self._at
        self._write(piece.raw)
        if piece.opcode == Opcode.CHUNK:
            self._index_chunk(piece, start)
        elif isinstance(record, Attachment):
            self._records[Opcode.ATTACHMENT_INDEX].append(
                AttachmentIndex(
                    offset=start,
                    length=len(piece.raw),
                    log_time=record.log_time,
                    create_time=record.create_time,
                    data_size=len(record.data),
                    name=record.name,
                    media_type=record.media_type,
                )
            )
        elif isinstance(record, Metadata):
            self._records[Opcode.METADATA_INDEX].append(
                MetadataIndex(offset=start, length=len(piece.raw), name=record.name)
            )
        for inside in piece.inside:
            self._learn(inside)

    def finish(self, name: str) -> FileRecord:
        """Write the summary; return the file under its name to be."""
        self._put(DataEnd(data_section_crc=0))
        start_ns, end_ns = self._span_ns or (0, 0)
        kinds = self._records
        kinds[Opcode.STATISTICS].append(
            Statistics(
                attachment_count=len(kinds[Opcode.ATTACHMENT_INDEX]),
                channel_count=len(kinds[Opcode.CHANNEL]),
                channel_message_counts=dict(self._counts),
                chunk_count=len(kinds[Opcode.CHUNK_INDEX]),
                message_count=sum(self._counts.values()),
                message_end_time=end_ns,
                message_start_time=start_ns,
                metadata_count=len(kinds[Opcode.METADATA_INDEX]),
                schema_count=len(kinds[Opcode.SCHEMA]),
            )
        )
        summary_start = self._at
        builder = RecordBuilder()
        offsets = []
        for kind, records in kinds.items():
            begun = builder.count
            for record in records:
                record.write(builder)
            offsets.append(SummaryOffset(kind, summary_start + begun, builder.count - begun))
        offsets_start = summary_start + builder.count
        for offset in offsets:
            offset.write(builder)  # type: ignore[no-untyped-call]
        summary: bytes = builder.end()  # type: ignore[no-untyped-call]
        Footer(summary_start, offsets_start, 0).write(builder)  # type: ignore[no-untyped-call]
        footer: bytes = builder.end()[:-4]  # type: ignore[no-untyped-call]
        crc = zlib.crc32(footer, zlib.crc32(summary))
        self._write(summary + footer + crc.to_bytes(4, 'little') + MAGIC)
        return FileRecord(name, self._at, self._digest.hexdigest())

    def _index_chunk(self, piece: Piece, start: int) -> None:
        indexes: dict[int, MessageIndex] = {}
        for record, offset in piece.inside:
            if isinstance(record, Message):
                index = indexes.setdefault(record.channel_id, MessageIndex(record.channel_id, []))
                index.records.append((record.log_time, offset))
        begun, offsets = self._at, {}
        for channel_id, index in indexes.items():
            offsets[channel_id] = self._at
            self._put(index)
        compression, packed_size, size = piece.packed
        self._records[Opcode.CHUNK_INDEX].append(
            ChunkIndex(
                chunk_length=len(piece.raw),
                chunk_start_offset=start,
                compression=compression,
                compressed_size=packed_size,
                message_end_time=piece.span_ns[1],
                message_index_length=self._at - begun,
                message_index_offsets=offsets,
                message_start_time=piece.span_ns[0],
                uncompressed_size=size,
            )
        )

    def _learn(self, inside: Inside) -> None:
        record = inside.record
        if isinstance(record, Message):
            self._counts[record.channel_id] += 1
            low, high = self._span_ns or (record.log_time, record.log_time)
            self._span_ns = min(low, record.log_time), max(high, record.log_time)
        elif isinstance(record, (Schema, Channel)):
            if (type(record), record.id) in self._known:
                return
            self._known.add((type(record), record.id))
            kind = Opcode.SCHEMA if isinstance(record, Schema) else Opcode.CHANNEL
            self._records[kind].append(record)

    def _put(self, record: McapRecord) -> None:
        builder = RecordBuilder()
        record.write(builder)
        self._write(builder.end())  # type: ignore[no-untyped-call]

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._at += len(data)
