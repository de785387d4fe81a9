"""Writes one bag in rosbag2's layout: `<dir>/<dir name>_0.mcap` and `<dir>/metadata.yaml`.

Chunks are lz4: low-dimensional messages repeat their joint names and shrink about five times, while JPEG
bytes, which do not shrink, pass lz4's incompressible path at more than 1 GB/s. MCAP compresses by chunk, not
by topic; zstd would spend ten times as long on the JPEG share for nothing. Every chunk carries a CRC, so a
reader knows a damaged one.

The file's sha256 is taken while it is written: closing a large bag does not read it again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal

from mcap.writer import CompressionType, Writer

from lwd_recorder.bag.errors import BagError
from lwd_recorder.bag.metadata import (
    OfferedQos,
    TopicMetadata,
    as_yaml_text,
    bag_information,
    qos_text,
)
from lwd_recorder.bag.records import BagSummary, FileRecord, TopicRecord
from lwd_recorder.bag.schema import message_definition, type_hash
from lwd_recorder.durable import fsync_folder, write_atomically

Compression = Literal['lz4', 'zstd', 'none']

_COMPRESSION = {
    'lz4': CompressionType.LZ4,
    'zstd': CompressionType.ZSTD,
    'none': CompressionType.NONE,
}
METADATA_NAME = 'metadata.yaml'


@dataclass(slots=True)
class _Channel:
    channel_id: int
    type_name: str
    qos: OfferedQos
    count: int = 0
    measured: int = 0
    first_ns: int = 0
    last_ns: int = 0
    max_gap_ns: int = 0

    def add(self, stamp_ns: int, measure_from_ns: int) -> None:
        self.count += 1
        if stamp_ns < measure_from_ns:
            return
        if self.measured == 0:
            self.first_ns = self.last_ns = stamp_ns
        else:
            self.max_gap_ns = max(self.max_gap_ns, stamp_ns - self.last_ns)
            self.last_ns = max(self.last_ns, stamp_ns)
        self.measured += 1

    def record(self) -> TopicRecord:
        span_ns = self.last_ns - self.first_ns
        rate_hz = (self.measured - 1) * 1e9 / span_ns if span_ns > 0 else 0.0
        return TopicRecord(
            self.type_name, self.count, round(rate_hz, 3), round(self.max_gap_ns / 1e9, 6)
        )


@dataclass(slots=True)
class _HashingFile:
    """A write-only stream that keeps the sha256 and the size of what went through it."""

    file: BinaryIO
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    size_bytes: int = 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size_bytes += len(data)
        return self.file.write(data)

    def tell(self) -> int:
        return self.size_bytes

    def flush(self) -> None:
        self.file.flush()


class BagWriter:
    """One open bag. Not thread-safe: one thread writes.

    A folder without metadata.yaml is a bag that was never closed.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        qos: Mapping[str, OfferedQos] | None = None,
        custom_data: Mapping[str, str] | None = None,
        compression: Compression = 'lz4',
        chunk_size_bytes: int = 256 * 1024,
        measure_from_ns: int = 0,
    ) -> None:
        """Create the folder and the file.

        Args:
            directory: the bag's folder; it must not exist, or be empty. Its name is the bag's name.
            qos: offered QoS by topic name; reliable, depth 10 where not given.
            custom_data: free key-value pairs for metadata.yaml.
            compression: of chunks.
            chunk_size_bytes: a chunk is closed at this size; what a crash can lose that the file system kept.

            measure_from_ns: rates and gaps are measured on stamps from here on, ns: an episode's start, so that the
                pause before it is not taken for a gap.

        Raises:
            BagError: the folder holds something already.
            OSError: it cannot be written.
        """
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        if any(self.directory.iterdir()):
            raise BagError(
                self.directory,
                'the folder is not empty; a bag is never written over, choose a new name',
            )
        self.path = self.directory / f'{self.directory.name}_0.mcap'
        self._qos = dict(qos or {})
        self._measure_from_ns = measure_from_ns
        self._custom_data = dict(custom_data or {})
        self._channels: dict[str, _Channel] = {}
        self._schemas: dict[str, int] = {}
        self._start_ns: int | None = None
        self._end_ns = 0
        self._file = self.path.open('xb')
        self._stream = _HashingFile(self._file)
        self._writer = Writer(
            self._stream,  # type: ignore[arg-type]
            chunk_size=chunk_size_bytes,
            compression=_COMPRESSION[compression],
            enable_crcs=True,
        )
        self._writer.start(profile='ros2', library='lwd')
        self._summary: BagSummary | None = None

    def add_topic(self, topic: str, type_name: str) -> None:
        """Declare a topic, so that it is listed with 0 messages if none comes; `write` declares by itself.

        Raises:
            SchemaError: the type's definition cannot be found.
            BagError: the topic is there with another type.
        """
        self._channel(topic, type_name)

    def write(
        self,
        topic: str,
        type_name: str,
        data: bytes,
        log_time_ns: int,
        publish_time_ns: int | None = None,
    ) -> None:
        """Append one serialized message.

        Args:
            topic: absolute topic name.
            type_name: e.g. sensor_msgs/msg/JointState.
            data: CDR bytes with their 4-byte encapsulation header, as a raw subscription gives them. (rclpy's
                `serialize_message` may leave unused bytes at the end, which strict decoders refuse.)
            log_time_ns: when it was received, robot clock, ns.
            publish_time_ns: header stamp, ns; `log_time_ns` where there is none. Rates and gaps are measured on it.

        Raises:
            SchemaError: the type's definition cannot be found.
            BagError: the bag is closed, or the topic is there with another type.
            OSError: the disk refused the bytes.
        """
        channel = self._channel(topic, type_name)
        stamp_ns = log_time_ns if publish_time_ns is None else publish_time_ns
        self._writer.add_message(
            channel_id=channel.channel_id,
            log_time=log_time_ns,
            publish_time=stamp_ns,
            sequence=channel.count & 0xFFFFFFFF,
            data=data,
        )
        channel.add(stamp_ns, self._measure_from_ns)
        self._start_ns = (
            log_time_ns if self._start_ns is None else min(self._start_ns, log_time_ns)
        )
        self._end_ns = max(self._end_ns, log_time_ns)

    @property
    def message_count(self) -> int:
        """Messages written so far."""
        return sum(channel.count for channel in self._channels.values())

    @property
    def size_bytes(self) -> int:
        """Bytes handed to the file so far; the open chunk is not in it."""
        return self._stream.size_bytes

    def close(self) -> BagSummary:
        """Finish the file, flush it to the disk, then write metadata.yaml. Idempotent.

        Raises:
            OSError: the disk refused the bytes; the folder stays without metadata.yaml, as an open bag.
        """
        if self._summary is not None:
            return self._summary
        start_ns = self._start_ns or 0
        information = bag_information(
            files=[self.path.name],
            topics=[
                TopicMetadata(name, c.type_name, type_hash(c.type_name), c.qos, c.count)
                for name, c in self._channels.items()
            ],
            start_ns=start_ns,
            end_ns=max(self._end_ns, start_ns),
            custom_data=self._custom_data,
            ros_distro=os.environ.get('ROS_DISTRO', 'jazzy'),
        )
        try:
            # rosbag2 reads this copy when it is given the .mcap file without its folder
            self._writer.add_metadata(
                'rosbag2', {'serialized_metadata': as_yaml_text(information)}
            )
            self._writer.finish()  # type: ignore[no-untyped-call]
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()
        text = as_yaml_text({'rosbag2_bagfile_information': information}).encode()
        write_atomically(self.directory / METADATA_NAME, text)
        fsync_folder(self.directory.parent)
        mcap = FileRecord(self.path.name, self._stream.size_bytes, self._stream.digest.hexdigest())
        described = FileRecord(METADATA_NAME, len(text), hashlib.sha256(text).hexdigest())
        self._summary = BagSummary(
            directory=self.directory,
            files=(mcap, described),
            topics={name: channel.record() for name, channel in self._channels.items()},
            start_ns=start_ns,
            end_ns=max(self._end_ns, start_ns),
        )
        return self._summary

    def abandon(self) -> None:
        """Let go of the file without finishing it: the folder stays as an open bag for recovery."""
        if not self._file.closed:
            with suppress(
                OSError
            ):  # a full disk refuses the last buffer too; what is on the disk stays there
                self._file.close()

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()

    def _channel(self, topic: str, type_name: str) -> _Channel:
        channel = self._channels.get(topic)
        if channel is not None:
            if channel.type_name != type_name:
                raise BagError(
                    self.path,
                    f'topic {topic} is recorded as {channel.type_name} and now comes as {type_name}; '
                    'give one of them another name',
                )
            return channel
        if self._file.closed:
            raise BagError(self.path, 'the bag is closed; open a new one')
        if type_name not in self._schemas:
            definition = message_definition(type_name)
            self._schemas[type_name] = self._writer.register_schema(
                type_name, 'ros2msg', definition.encode()
            )
        qos = self._qos.get(topic, OfferedQos())
        channel_id = self._writer.register_channel(
            topic,
            'cdr',
            self._schemas[type_name],
            {'offered_qos_profiles': qos_text(qos), 'topic_type_hash': type_hash(type_name)},
        )
        channel = _Channel(channel_id, type_name, qos)
        self._channels[topic] = channel
        return channel
