"""Reads a bag in rosbag2's layout and refuses what is damaged, whole or in part.

The file is read front to back, every chunk's CRC is checked, and at the end the counts must agree with the file's own
statistics: a truncated, bit-flipped or shortened bag is a `BagError` that names the file. No size that a damaged file
claims is trusted beyond a limit.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import lz4.frame
import yaml
import zstandard
from mcap.exceptions import McapError
from mcap.records import Channel, Chunk, Footer, Message, MessageIndex, Schema, Statistics
from mcap.stream_reader import CRCValidationError, StreamReader, breakup_chunk

from lwd_recorder.bag.errors import BagError
from lwd_recorder.bag.writer import METADATA_NAME

MAX_RECORD_BYTES = 256 << 20
"""Largest MCAP record, packed or unpacked, that is believed; a chunk is 0.25 MiB here and 4 MiB elsewhere."""

_MOST_TOGETHER_BYTES = 64 << 20

DAMAGE = (
    McapError,
    CRCValidationError,
    struct.error,
    UnicodeDecodeError,
    EOFError,
    RuntimeError,
    zstandard.ZstdError,
    KeyError,
    ValueError,
    OverflowError,
    MemoryError,
)
"""What reading damaged bytes raises."""


class BagMessage(NamedTuple):
    """One serialized message of a bag; unpacks as (topic, type_name, data, log_time_ns)."""

    topic: str
    """Absolute topic name."""
    type_name: str
    """Message type, e.g. sensor_msgs/msg/JointState."""
    data: bytes
    """CDR bytes with their encapsulation header."""
    log_time_ns: int
    """When it was received, robot clock, ns."""


class BagTopic(NamedTuple):
    """One topic of a bag, as its metadata.yaml lists it."""

    name: str
    type_name: str
    message_count: int


def read_bag(directory: Path | str, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
    """Yield a bag's messages in the order in which they were received, its files one after the other.

    Args:
        directory: the bag's folder, or one .mcap file.
        topics: names to keep; None = all. Everything is verified in any case.

    Yields:
        (topic, type_name, data, log_time_ns).

    Raises:
        BagError: the bag is missing, truncated or damaged. Messages yielded before it were read from chunks whose CRC
            was right; drop them all the same if the episode has to be whole.
    """
    expected: int | None = None
    directory = Path(directory)
    if directory.is_file():
        paths = [directory]
    else:
        information = read_metadata(directory)
        paths = _data_files(directory, information)
        expected = int(information['message_count'])
    wanted = None if topics is None else frozenset(topics)
    total = 0
    for path in paths:
        for message in _read_file(path):
            total += 1
            if wanted is None or message.topic in wanted:
                yield message
    if expected is not None and total != expected:
        raise BagError(
            directory, f'{METADATA_NAME} promises {expected} messages, the files hold {total}'
        )


def read_metadata(directory: Path | str) -> dict[str, Any]:
    """Return the `rosbag2_bagfile_information` mapping of a bag's metadata.yaml.

    Raises:
        BagError: it is missing (the bag was never closed) or malformed.
    """
    path = Path(directory) / METADATA_NAME
    try:
        document = yaml.safe_load(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        raise BagError(
            Path(directory), f'no {METADATA_NAME}: not a bag, or one that was never closed'
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BagError(path, f'cannot be read: {error}') from error
    information = (
        document.get('rosbag2_bagfile_information') if isinstance(document, dict) else None
    )
    if not isinstance(information, dict):
        raise BagError(path, 'no rosbag2_bagfile_information in it')
    if information.get('storage_identifier') != 'mcap':
        raise BagError(
            path, f'storage is {information.get("storage_identifier")!r}; only mcap is read here'
        )
    if not isinstance(information.get('message_count'), int):
        raise BagError(
            path, f'message_count is {information.get("message_count")!r}, not a number'
        )
    return information


def bag_topics(directory: Path | str) -> list[BagTopic]:
    """Return the topics that metadata.yaml lists, in its order.

    Raises:
        BagError: metadata.yaml is missing or malformed.
    """
    information = read_metadata(directory)
    try:
        return [
            BagTopic(
                str(entry['topic_metadata']['name']),
                str(entry['topic_metadata']['type']),
                int(entry['message_count']),
            )
            for entry in information['topics_with_message_count']
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise BagError(
            Path(directory) / METADATA_NAME, f'a topic entry is malformed: {error!r}'
        ) from error


def message_definitions(directory: Path | str) -> dict[str, str]:
    """Return the embedded definition (`ros2msg` text) of every type in a bag.

    Raises:
        BagError: the bag is missing or damaged.
    """
    definitions: dict[str, str] = {}
    for path in _data_files(Path(directory), read_metadata(directory)):
        for record in _records(path):
            if isinstance(record, Schema):
                definitions[record.name] = record.data.decode()
    return definitions


def _data_files(directory: Path, information: dict[str, Any]) -> list[Path]:
    names = information.get('relative_file_paths')
    if not isinstance(names, list) or not names:
        raise BagError(
            directory / METADATA_NAME, f'relative_file_paths is {names!r}, not a list of files'
        )
    for name in names:
        if not isinstance(name, str) or PurePath(name).name != name or name in {'.', '..'}:
            raise BagError(
                directory / METADATA_NAME, f'file name {name!r} leaves the folder of the bag'
            )
    return [directory / name for name in names]


def _read_file(path: Path) -> Iterator[BagMessage]:
    channels: dict[int, tuple[str, str]] = {}
    schemas: dict[int, str] = {}
    counts: Counter[int] = Counter()
    statistics: Statistics | None = None
    for record in _records(path):
        if isinstance(record, Message):
            try:
                topic, type_name = channels[record.channel_id]
            except KeyError:
                raise BagError(
                    path, f'a message of the unknown channel {record.channel_id}'
                ) from None
            counts[record.channel_id] += 1
            yield BagMessage(topic, type_name, record.data, record.log_time)
        elif isinstance(record, Schema):
            schemas[record.id] = record.name
        elif isinstance(record, Channel):
            if record.schema_id not in schemas:
                raise BagError(path, f'topic {record.topic} has no schema')
            channels[record.id] = (record.topic, schemas[record.schema_id])
        elif isinstance(record, Statistics):
            statistics = record
    if statistics is None:
        raise BagError(path, 'no statistics at its end: the file was not finished')
    if dict(statistics.channel_message_counts) != dict(counts):
        raise BagError(
            path,
            f'its statistics promise {statistics.message_count} messages, {sum(counts.values())} are in it',
        )


def _records(path: Path) -> Iterator[Any]:
    """Yield every record of a file, those inside chunks included; anything wrong is a BagError."""
    try:
        with path.open('rb') as file:
            finished = False
            reader = StreamReader(file, emit_chunks=True, record_size_limit=MAX_RECORD_BYTES)
            together: list[Chunk] = []
            for record in reader.records:
                finished = isinstance(record, Footer)
                if isinstance(record, Chunk):
                    if together and not _overlap(together, record):
                        yield from _in_order(together)
                        together = []
                    together.append(unpacked(record))
                elif not isinstance(record, MessageIndex):
                    yield from _in_order(together)
                    together = []
                    yield record
            if not finished:
                raise BagError(path, 'the file ends without a footer')
    except OSError as error:
        raise BagError(path, f'cannot be read: {error.strerror or error}') from error
    except DAMAGE as error:
        raise BagError(path, f'truncated or damaged ({type(error).__name__}: {error})') from error


def _overlap(together: list[Chunk], chunk: Chunk) -> bool:
    """Return whether a chunk's messages go between those of the ones before it; a bound holds for memory's sake."""
    if sum(len(one.data) for one in together) > _MOST_TOGETHER_BYTES:
        return False
    return bool(chunk.message_start_time < max(one.message_end_time for one in together))


def _in_order(together: list[Chunk]) -> Iterator[Any]:
    """Yield the records of chunks that overlap in time: schemas and channels first, messages by log time."""
    messages: list[Message] = []
    for chunk in together:
        for record in breakup_chunk(chunk, validate_crc=False):
            if isinstance(record, Message):
                messages.append(record)
            else:
                yield record
    if len(together) > 1:
        messages.sort(key=lambda message: message.log_time)
    yield from messages


def unpacked(chunk: Chunk) -> Chunk:
    """Return the chunk with its data unpacked and checked.

    Raises:
        ValueError, RuntimeError, zstandard.ZstdError: it is too large, does not unpack, or fails its CRC.
    """
    size = chunk.uncompressed_size
    if size > MAX_RECORD_BYTES:
        raise ValueError(f'a chunk claims {size} bytes unpacked; the limit is {MAX_RECORD_BYTES}')
    if chunk.compression == 'lz4':
        data = lz4.frame.LZ4FrameDecompressor().decompress(chunk.data, max_length=size + 1)
    elif chunk.compression == 'zstd':
        data = zstandard.ZstdDecompressor().decompress(chunk.data, max_output_size=size + 1)
    elif chunk.compression == '':
        data = chunk.data
    else:
        raise ValueError(f'chunk compression {chunk.compression!r} is not lz4, zstd or none')
    if len(data) != size:
        raise ValueError(f'a chunk unpacks to {len(data)} bytes, it promised {size}')
    if chunk.uncompressed_crc != 0 and zlib.crc32(data) != chunk.uncompressed_crc:
        raise ValueError('a chunk fails its CRC')
    chunk.compression, chunk.data = '', data
    return chunk
