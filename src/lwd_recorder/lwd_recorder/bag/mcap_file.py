"""Writes one MCAP file (profile ros2): chunks by compression, attachments, metadata, summary.

The mcap package writes one kind of chunk and copies each message three times on its way; at 83 MB/s of raw images that
is most of the work. Here messages of each compression gather in a chunk of their own, and an uncompressed chunk is
handed to the kernel piece by piece. All open chunks are closed together, so that what a file holds up to any place is
all that was received up to some moment, and a reader that merges overlapping chunks gets the order back. Every chunk
carries a CRC and the schemas and channels that it is the first to use. Records other than chunks are mcap's own.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

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
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)
from mcap.writer import MCAP0_MAGIC

from lwd_recorder.bag.chunk import ChunkBuilder, message_index
from lwd_recorder.bag.options import Compression
from lwd_recorder.bag.output import HashedFile

_FOOTER_HEAD = struct.Struct('<BQQQ')


class McapFile:
    """One open MCAP file. One thread writes; `sync` may be called by another."""

    def __init__(self, path: Path, *, chunk_size_bytes: int, chunk_span_ns: int) -> None:
        """Create the file and write its header.

        Args:
            path: does not exist yet.
            chunk_size_bytes: open chunks are closed when one has this size.
            chunk_span_ns: and when they span this much log time, ns.

        Raises:
            OSError: the disk refuses.
        """
        self.path = path
        self._chunk_size_bytes = chunk_size_bytes
        self._chunk_span_ns = chunk_span_ns
        self._builders: dict[str, ChunkBuilder] = {}
        self._schemas: dict[int, bytes] = {}
        self._channels: dict[int, tuple[bytes, int, ChunkBuilder]] = {}
        self._schemas_in: dict[str, set[int]] = {}
        self._indexes: dict[Opcode, list[bytes]] = {
            Opcode.CHUNK_INDEX: [],
            Opcode.ATTACHMENT_INDEX: [],
            Opcode.METADATA_INDEX: [],
        }
        self._unit_since_ns = -1
        self.counts: dict[int, int] = {}
        """Messages by channel."""
        self.start_ns = self.end_ns = 0
        """Smallest and largest log time, ns; 0 when empty."""
        self._file = HashedFile(path)
        self._file.write([MCAP0_MAGIC, _bytes_of(Header('ros2', 'lwd'))])

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._file.closed

    @property
    def size_bytes(self) -> int:
        """Bytes written and gathered so far."""
        return self._file.size_bytes + sum(one.size_bytes for one in self._builders.values())

    @property
    def sha256(self) -> str:
        """sha256 of the file so far, hex."""
        return self._file.sha256

    @property
    def message_count(self) -> int:
        """Messages in the file."""
        return sum(self.counts.values())

    def add_schema(self, schema_id: int, name: str, definition: str) -> None:
        """Declare a message type by its ros2msg definition."""
        self._schemas[schema_id] = _bytes_of(
            Schema(id=schema_id, name=name, encoding='ros2msg', data=definition.encode())
        )

    def add_channel(
        self,
        channel_id: int,
        topic: str,
        schema_id: int,
        metadata: Mapping[str, str],
        compression: Compression,
    ) -> None:
        """Declare a topic and the chunks that it goes into."""
        record = _bytes_of(
            Channel(
                id=channel_id,
                topic=topic,
                message_encoding='cdr',
                metadata=dict(metadata),
                schema_id=schema_id,
            )
        )
        builder = self._builders.setdefault(compression, ChunkBuilder(compression))
        self._channels[channel_id] = (record, schema_id, builder)

    def write(
        self, channel_id: int, sequence: int, log_ns: int, publish_ns: int, data: bytes
    ) -> None:
        """Append a message.

        Raises:
            OSError: the disk refuses.
        """
        record, schema_id, builder = self._channels[channel_id]
        count = self.counts.get(channel_id, 0)
        if count == 0:
            known = self._schemas_in.setdefault(builder.compression, set())
            if schema_id not in known:
                known.add(schema_id)
                builder.add_record(self._schemas[schema_id])
            builder.add_record(record)
        if not self.counts:
            self.start_ns = self.end_ns = log_ns
        self.counts[channel_id] = count + 1
        self.start_ns, self.end_ns = min(self.start_ns, log_ns), max(self.end_ns, log_ns)
        builder.add_message(channel_id, sequence, log_ns, publish_ns, data)
        if self._unit_since_ns < 0:
            self._unit_since_ns = log_ns
        if (
            builder.size_bytes >= self._chunk_size_bytes
            or log_ns - self._unit_since_ns >= self._chunk_span_ns
        ):
            self.flush()

    def flush(self) -> None:
        """Close the open chunks and hand them to the kernel: a killed process does not lose them.

        Raises:
            OSError: the disk refuses.
        """
        self._unit_since_ns = -1
        for builder in self._builders.values():
            if builder.index:
                self._write_chunk(builder)

    def sync(self) -> None:
        """Wait until what was flushed is on the disk: a power cut does not lose it."""
        self._file.sync()

    def add_attachment(self, name: str, media_type: str, data: bytes, log_ns: int) -> None:
        """Append a file, e.g. the robot's profile."""
        attachment = Attachment(log_ns, log_ns, name, media_type, data)
        record = _bytes_of(attachment)
        index = AttachmentIndex(
            offset=self._file.size_bytes,
            length=len(record),
            log_time=log_ns,
            create_time=log_ns,
            data_size=len(data),
            name=name,
            media_type=media_type,
        )
        self._file.write([record])
        self._indexes[Opcode.ATTACHMENT_INDEX].append(_bytes_of(index))

    def add_metadata(self, name: str, values: Mapping[str, str]) -> None:
        """Append named texts."""
        record = _bytes_of(Metadata(name=name, metadata=dict(values)))
        index = MetadataIndex(offset=self._file.size_bytes, length=len(record), name=name)
        self._file.write([record])
        self._indexes[Opcode.METADATA_INDEX].append(_bytes_of(index))

    def finish(self) -> None:
        """Write the rest and the summary, wait for the disk, and close the file.

        Raises:
            OSError: the disk refuses.
        """
        self.flush()
        data_end = _bytes_of(DataEnd(0))
        start = self._file.size_bytes + len(data_end)
        groups = {
            Opcode.SCHEMA: list(self._schemas.values()),
            Opcode.CHANNEL: [record for record, _, _ in self._channels.values()],
            Opcode.STATISTICS: [_bytes_of(self._statistics())],
            **self._indexes,
        }
        summary: list[bytes] = []
        offsets: list[bytes] = []
        at = start
        for opcode, records in groups.items():
            length = sum(map(len, records))
            if length:
                offsets.append(_bytes_of(SummaryOffset(opcode, at, length)))
            summary += records
            at += length
        body = b''.join([*summary, *offsets])
        crc = zlib.crc32(_FOOTER_HEAD.pack(Opcode.FOOTER, 8 + 8 + 4, start, at), zlib.crc32(body))
        footer = _bytes_of(Footer(start, at, crc))
        try:
            self._file.write([data_end, body, footer, MCAP0_MAGIC])
            self._file.sync()
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Let go of the file as it is; idempotent."""
        self._file.close()

    def _statistics(self) -> Statistics:
        return Statistics(
            attachment_count=len(self._indexes[Opcode.ATTACHMENT_INDEX]),
            channel_count=len(self._channels),
            channel_message_counts=dict(self.counts),
            chunk_count=len(self._indexes[Opcode.CHUNK_INDEX]),
            message_count=self.message_count,
            message_end_time=self.end_ns,
            message_start_time=self.start_ns,
            metadata_count=len(self._indexes[Opcode.METADATA_INDEX]),
            schema_count=len(self._schemas),
        )

    def _write_chunk(self, builder: ChunkBuilder) -> None:
        start_ns, end_ns, entries = builder.start_ns, builder.end_ns, builder.index
        pieces, packed, unpacked = builder.take()
        offset = self._file.size_bytes
        length = sum(map(len, pieces))
        at = offset + length
        offsets: dict[int, int] = {}
        for channel_id, entry in entries.items():
            offsets[channel_id] = at
            pieces.append(message_index(channel_id, entry))
            at += len(pieces[-1])
        self._file.write(pieces)
        index = ChunkIndex(
            chunk_length=length,
            chunk_start_offset=offset,
            compression=builder.name,
            compressed_size=packed,
            message_end_time=end_ns,
            message_index_length=at - offset - length,
            message_index_offsets=offsets,
            message_start_time=start_ns,
            uncompressed_size=unpacked,
        )
        self._indexes[Opcode.CHUNK_INDEX].append(_bytes_of(index))


def _bytes_of(record: McapRecord) -> bytes:
    builder = RecordBuilder()
    record.write(builder)
    return bytes(builder.end())  # type: ignore[no-untyped-call]
