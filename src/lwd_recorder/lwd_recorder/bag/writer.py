"""Writes one bag in rosbag2's layout: `<dir>/<dir name>_0.mcap`, `_1.mcap`, ..., and `<dir>/metadata.yaml`.

A new file is begun when the last one is long or large enough; with an executor, finishing the old one (its summary, its
fsync) holds nobody up. Every file is an MCAP file that reads without the others.

The sha256 of a file is taken while it is written: closing a large bag does not read it again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from lwd_recorder.bag.errors import BagError
from lwd_recorder.bag.mcap_file import McapFile
from lwd_recorder.bag.measure import StreamMeasure
from lwd_recorder.bag.metadata import (
    FileExtent,
    TopicMetadata,
    as_yaml_text,
    bag_information,
    qos_text,
)
from lwd_recorder.bag.options import TopicOptions
from lwd_recorder.bag.records import BagSummary, FileRecord, TopicRecord
from lwd_recorder.bag.schema import message_definition, type_hash
from lwd_recorder.durable import fsync_folder, write_atomically

METADATA_NAME = 'metadata.yaml'
_DEFAULT = TopicOptions()


@dataclass(slots=True)
class _Topic:
    name: str
    channel_id: int
    schema_id: int
    type_name: str
    options: TopicOptions
    measure: StreamMeasure

    def metadata(self, count: int) -> TopicMetadata:
        return TopicMetadata(
            self.name, self.type_name, type_hash(self.type_name), self.options.qos, count
        )


class BagWriter:
    """One open bag. Not thread-safe: one thread writes; `sync` may be called by another.

    A folder without metadata.yaml is a bag that was never closed.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        options: Mapping[str, TopicOptions] | None = None,
        default: TopicOptions = _DEFAULT,
        custom_data: Mapping[str, str] | None = None,
        chunk_size_bytes: int = 4 << 20,
        chunk_span_s: float = 0.5,
        max_file_bytes: int = 0,
        max_file_s: float = 0.0,
        measure_from_ns: int = 0,
        finisher: Executor | None = None,
    ) -> None:
        """Create the folder and the first file.

        Args:
            directory: the bag's folder; it must not exist, or be empty. Its name is the bag's name.
            options: how topics are written and measured, by name.
            default: and all others.
            custom_data: free key-value pairs for metadata.yaml.
            chunk_size_bytes: open chunks are closed at this size, and
            chunk_span_s: when they span this much log time, s: together, what a killed process can lose.
            max_file_bytes: a new file is begun when one has this size; 0 = never.
            max_file_s: and when it spans this much log time, s; 0 = never.
            measure_from_ns: rates and gaps are measured on stamps from here on, ns: an episode's start, so that the
                pause before it is not taken for a gap.
            finisher: one thread that finishes files while the next one is written; None = the writing thread does.

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
        self._options = dict(options or {})
        self._default = default
        self._custom_data = dict(custom_data or {})
        self._chunk_size_bytes = chunk_size_bytes
        self._chunk_span_ns = round(chunk_span_s * 1e9)
        self._max_file_bytes = max_file_bytes
        self._max_file_ns = round(max_file_s * 1e9)
        self._measure_from_ns = measure_from_ns
        self._finisher = finisher
        self._topics: dict[str, _Topic] = {}
        self._schemas: dict[str, int] = {}
        self._files: list[McapFile] = []
        self._finishing: list[Future[None]] = []
        self._file = self._next_file()
        self._summary: BagSummary | None = None

    @property
    def path(self) -> Path:
        """The file that is being written."""
        return self._file.path

    @property
    def message_count(self) -> int:
        """Messages written so far."""
        return sum(topic.measure.count for topic in self._topics.values())

    @property
    def size_bytes(self) -> int:
        """Bytes of all files so far; messages in open chunks count unpacked."""
        return sum(file.size_bytes for file in self._files)

    def add_topic(self, topic: str, type_name: str) -> None:
        """Declare a topic, so that it is listed with 0 messages if none comes; `write` declares by itself.

        Raises:
            SchemaError: the type's definition cannot be found.
            BagError: the topic is there with another type.
        """
        self._topic(topic, type_name)

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
        to = self._topic(topic, type_name)
        if self._is_full(log_time_ns):
            self._split()
        stamp_ns = log_time_ns if publish_time_ns is None else publish_time_ns
        sequence = to.measure.count & 0xFFFFFFFF
        self._file.write(to.channel_id, sequence, log_time_ns, stamp_ns, data)
        to.measure.add(stamp_ns, log_time_ns)

    def attach(self, name: str, media_type: str, data: bytes, log_time_ns: int = 0) -> None:
        """Put a file into the bag as an MCAP attachment, e.g. the robot's profile.

        Raises:
            OSError: the disk refused the bytes.
        """
        self._file.add_attachment(name, media_type, data, log_time_ns)

    def describe(self, name: str, values: Mapping[str, str]) -> None:
        """Put named texts into the bag as an MCAP metadata record.

        Raises:
            OSError: the disk refused the bytes.
        """
        self._file.add_metadata(name, values)

    def flush(self) -> None:
        """Hand everything to the kernel: a killed process loses nothing of it.

        Raises:
            OSError: the disk refused the bytes.
        """
        self._file.flush()

    def sync(self) -> None:
        """Wait until what was flushed is on the disk: a power cut loses nothing of it.

        Raises:
            OSError: the disk refused the bytes.
        """
        self._file.sync()

    def measured(self, ended_ns: int = 0) -> dict[str, TopicRecord]:
        """Return what was measured so far, by topic.

        Args:
            ended_ns: the episode's end, ns; silence before it counts as a gap of a periodic topic. 0 = not known.
        """
        for topic in self._topics.values():
            topic.measure.end(ended_ns)
        return {
            name: topic.measure.record(topic.type_name) for name, topic in self._topics.items()
        }

    def close(self, ended_ns: int = 0) -> BagSummary:
        """Finish the files, wait until they are on the disk, then write metadata.yaml. Idempotent.

        Args:
            ended_ns: see `measured`.

        Raises:
            OSError: the disk refused the bytes; the folder stays without metadata.yaml, as an open bag.
        """
        if self._summary is not None:
            return self._summary
        self._finish(self._file, tuple(self._topics.values()))
        for future in self._finishing:
            future.result()
        extents = [_extent(file) for file in self._files]
        described = [topic.metadata(topic.measure.count) for topic in self._topics.values()]
        information = self._information(extents, described)
        text = as_yaml_text({'rosbag2_bagfile_information': information}).encode()
        write_atomically(self.directory / METADATA_NAME, text)
        fsync_folder(self.directory.parent)
        filled = [extent for extent in extents if extent.count]
        self._summary = BagSummary(
            directory=self.directory,
            files=(
                *(
                    FileRecord(file.path.name, file.size_bytes, file.sha256)
                    for file in self._files
                ),
                FileRecord(METADATA_NAME, len(text), hashlib.sha256(text).hexdigest()),
            ),
            topics=self.measured(ended_ns),
            start_ns=min((extent.start_ns for extent in filled), default=0),
            end_ns=max((extent.end_ns for extent in filled), default=0),
        )
        return self._summary

    def abandon(self) -> None:
        """Let go of the files without finishing: the folder stays as an open bag for recovery."""
        self._file.abandon()

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

    def _is_full(self, log_time_ns: int) -> bool:
        if self._file.message_count == 0:
            return False
        too_large = 0 < self._max_file_bytes <= self._file.size_bytes
        return too_large or 0 < self._max_file_ns <= log_time_ns - self._file.start_ns

    def _split(self) -> None:
        """Go on in a new file; the old one is finished by the finisher."""
        full, self._file = self._file, self._next_file()
        full.flush()
        topics = tuple(self._topics.values())
        if self._finisher is None:
            self._finish(full, topics)
        else:
            self._finishing.append(self._finisher.submit(self._finish, full, topics))

    def _next_file(self) -> McapFile:
        path = self.directory / f'{self.directory.name}_{len(self._files)}.mcap'
        file = McapFile(
            path, chunk_size_bytes=self._chunk_size_bytes, chunk_span_ns=self._chunk_span_ns
        )
        for type_name, schema_id in self._schemas.items():
            file.add_schema(schema_id, type_name, message_definition(type_name))
        for topic in self._topics.values():
            self._add_channel(file, topic)
        self._files.append(file)
        return file

    def _finish(self, file: McapFile, topics: Sequence[_Topic]) -> None:
        if not file.closed:
            described = [topic.metadata(file.counts.get(topic.channel_id, 0)) for topic in topics]
            information = self._information([_extent(file)], described)
            # rosbag2 reads this copy when it is given the .mcap file without its folder
            file.add_metadata('rosbag2', {'serialized_metadata': as_yaml_text(information)})
            file.finish()

    def _information(
        self, extents: Sequence[FileExtent], topics: Sequence[TopicMetadata]
    ) -> dict[str, object]:
        return bag_information(
            files=extents,
            topics=topics,
            custom_data=self._custom_data,
            ros_distro=os.environ.get('ROS_DISTRO', 'jazzy'),
        )

    def _topic(self, topic: str, type_name: str) -> _Topic:
        known = self._topics.get(topic)
        if known is not None:
            if known.type_name != type_name:
                raise BagError(
                    self.path,
                    f'topic {topic} is recorded as {known.type_name} and now comes as {type_name}; '
                    'give one of them another name',
                )
            return known
        if self._file.closed:
            raise BagError(self.path, 'the bag is closed; open a new one')
        if type_name not in self._schemas:
            definition = message_definition(type_name)
            self._schemas[type_name] = len(self._schemas) + 1
            self._file.add_schema(self._schemas[type_name], type_name, definition)
        options = self._options.get(topic, self._default)
        added = _Topic(
            name=topic,
            channel_id=len(self._topics) + 1,
            schema_id=self._schemas[type_name],
            type_name=type_name,
            options=options,
            measure=StreamMeasure(self._measure_from_ns, periodic=options.periodic),
        )
        self._topics[topic] = added
        self._add_channel(self._file, added)
        return added

    def _add_channel(self, file: McapFile, topic: _Topic) -> None:
        metadata = {
            'offered_qos_profiles': qos_text(topic.options.qos),
            'topic_type_hash': type_hash(topic.type_name),
        }
        file.add_channel(
            topic.channel_id, topic.name, topic.schema_id, metadata, topic.options.compression
        )


def _extent(file: McapFile) -> FileExtent:
    return FileExtent(file.path.name, file.start_ns, file.end_ns, file.message_count)
