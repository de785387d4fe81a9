"""The messages of an untrusted bag, fast: records are checked, unpacked within limits, and never copied.

`lwd_recorder.bag.read_bag` reads any bag, in order of receipt. Ingest needs neither all topics nor that order (streams
are sorted by stamp), but fifty times real time and a bound on everything that a file can claim. What both demand is
the same: every chunk's CRC is right, the file was finished, and it holds as many messages as its statistics and
metadata.yaml promise.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import lz4.frame
import pyarrow as pa
from lwd_recorder.bag import BagError
from lwd_recorder.bag.reader import read_metadata
from lwd_recorder.bag.schema import message_definition

from lwd_learner.ingest.errors import DamagedEpisodeError

MAGIC = b'\x89MCAP0\r\n'
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, STATISTICS = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0B
_METADATA_BYTES = 1 << 20
_SMALL_RECORD_BYTES = 16 << 20
_HEADER = struct.Struct('<BQ')
_CHUNK = struct.Struct('<QQQII')
_MESSAGE = struct.Struct('<HIQQ')

Topics = Mapping[str, str]
"""Topics that are read, with the message type that each must have."""


MAX_EPISODE_BYTES = 16 << 30
"""`g1`'s cameras give some 14 MB/s, and the recorder closes an episode after 900 s: 12.4 GB."""


@dataclass(frozen=True, slots=True)
class BagLimits:
    """Sizes beyond which a bag is not believed."""

    max_messages: int = 5_000_000
    """Messages of the topics that are read."""
    max_bytes: int = MAX_EPISODE_BYTES
    """Bytes of an episode's files, and of its bag's chunks, unpacked."""
    max_chunk_bytes: int = 32 << 20
    """Bytes of one chunk, unpacked; rosbag2 writes 4 MiB, our recorder less."""
    check_schemas: bool = True
    """Refuse a topic whose message definition in the bag has other fields than the one installed here."""


def read_messages(
    directory: Path, topics: Topics, limits: BagLimits
) -> Iterator[tuple[str, memoryview]]:
    """Yield (topic, CDR bytes) of each message of `topics`, file after file.

    A message's bytes are only good until the next one is asked for: copy what is kept.

    Raises:
        DamagedEpisodeError: the bag is damaged, unfinished, of other message types, or beyond the limits.
        OSError: it cannot be read now, which says nothing of the bag.
    """
    metadata = directory / 'metadata.yaml'
    if metadata.is_file() and metadata.stat().st_size > _METADATA_BYTES:
        raise DamagedEpisodeError(f'metadata.yaml has {metadata.stat().st_size} bytes')
    try:
        information = read_metadata(directory)
    except (BagError, RecursionError, ValueError) as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None
        raise DamagedEpisodeError(f'the bag is not readable: {error}') from error
    names = information.get('relative_file_paths')
    there = {path.name for path in directory.iterdir() if path.suffix == '.mcap'}
    if not isinstance(names, list) or {str(name) for name in names} != there:
        raise DamagedEpisodeError(
            f'metadata.yaml speaks of the files {str(names)[:200]}, the manifest of {sorted(there)}'
        )
    budget = _Budget(limits)
    for name in names:
        file = _McapFile(directory / name, topics, budget)
        yield from file.messages()
    if budget.messages != information['message_count']:
        raise DamagedEpisodeError(
            f'metadata.yaml promises {information["message_count"]} messages, the files hold {budget.messages}'
        )


RAISE_LIMIT = (
    'if that is right, give ingest or train a larger --max-episode-bytes and put the episode back from quarantine '
    '(docs/replay.md)'
)


@dataclass(slots=True)
class _Budget:
    limits: BagLimits
    messages: int = 0
    wanted: int = 0
    unpacked: int = 0

    def spend(self, size: int) -> None:
        """Account for `size` more unpacked bytes."""
        self.unpacked += size
        if self.unpacked > self.limits.max_bytes:
            raise DamagedEpisodeError(
                f'more than {self.limits.max_bytes} bytes in the bag, unpacked; {RAISE_LIMIT}'
            )


class _McapFile:
    def __init__(self, path: Path, topics: Topics, budget: _Budget) -> None:
        self._path = path
        self._topics = topics
        self._budget = budget
        self._schemas: dict[int, tuple[str, str, bytes]] = {}
        self._channels: dict[int, str | None] = {}
        self._counts: Counter[int] = Counter()
        self._promised: dict[int, int] | None = None

    def messages(self) -> Iterator[tuple[str, memoryview]]:
        try:
            with self._path.open('rb') as file:
                yield from self._records(file, self._path.stat().st_size)
        except (struct.error, UnicodeDecodeError) as error:
            raise DamagedEpisodeError(f'{self._path.name} is damaged: {error}') from error
        if self._promised is None:
            raise DamagedEpisodeError(f'{self._path.name} was not finished: it has no statistics')
        if self._promised != dict(self._counts):
            raise DamagedEpisodeError(
                f'the statistics of {self._path.name} promise {sum(self._promised.values())} messages, '
                f'{self._counts.total()} are in it'
            )

    def _records(self, file: IO[bytes], size: int) -> Iterator[tuple[str, memoryview]]:
        if file.read(len(MAGIC)) != MAGIC:
            raise DamagedEpisodeError(f'{self._path.name} is no MCAP file')
        at = len(MAGIC)
        most = self._budget.limits.max_chunk_bytes
        opcode = -1
        while opcode != FOOTER:
            head = file.read(_HEADER.size)
            if len(head) < _HEADER.size:
                raise DamagedEpisodeError(f'{self._path.name} ends after {size} bytes: cut short')
            opcode, length = _HEADER.unpack(head)
            at += _HEADER.size + length
            if at > size:
                raise DamagedEpisodeError(
                    f'{self._path.name}: a record claims {length} bytes, {size} are in the file'
                )
            if opcode in (SCHEMA, CHANNEL, MESSAGE, STATISTICS, CHUNK):
                if length > (most if opcode == CHUNK else _SMALL_RECORD_BYTES):
                    raise DamagedEpisodeError(
                        f'{self._path.name}: a record of {length} bytes; the limit of a chunk is {most}'
                    )
                record = memoryview(file.read(length))
                if opcode == CHUNK:
                    yield from self._chunk(record)
                else:
                    yield from self._record(opcode, record)
            else:
                file.seek(length, 1)
        if file.read(len(MAGIC)) != MAGIC:
            raise DamagedEpisodeError(f'{self._path.name} does not end as an MCAP file: cut short')

    def _chunk(self, record: memoryview) -> Iterator[tuple[str, memoryview]]:
        _, _, size, crc, text = _CHUNK.unpack_from(record)
        start = _CHUNK.size + text
        compression = str(record[_CHUNK.size : start], 'utf-8')
        (packed,) = struct.unpack_from('<Q', record, start)
        data = self._unpack(compression, record[start + 8 : start + 8 + packed], size, crc)
        at, end = 0, len(data)
        while at < end:
            opcode, length = _HEADER.unpack_from(data, at)
            at += _HEADER.size
            if at + length > end:
                raise DamagedEpisodeError(
                    f'{self._path.name}: a record claims {length} bytes, its chunk has {end}'
                )
            part = data[at : at + length]
            at += length
            if opcode == MESSAGE:  # the path that counts: everything else is rare
                (channel,) = struct.unpack_from('<H', part)
                topic = self._topic(channel)
                if topic is not None:
                    yield topic, part[_MESSAGE.size :]
            else:
                yield from self._record(opcode, part)

    def _unpack(self, compression: str, packed: memoryview, size: int, crc: int) -> memoryview:
        most = self._budget.limits.max_chunk_bytes
        if size > most:
            raise DamagedEpisodeError(
                f'{self._path.name}: a chunk claims {size} bytes unpacked; the limit is {most}'
            )
        self._budget.spend(size)
        try:
            if compression == '':
                data = packed
            elif compression not in ('lz4', 'zstd'):
                raise DamagedEpisodeError(
                    f'{self._path.name}: chunks are packed with {compression[:20]!r}, not lz4 or zstd'
                )
            elif compression == 'lz4' and crc == 0:  # Arrow's does not tell when there is less
                plain = lz4.frame.LZ4FrameDecompressor().decompress(packed, max_length=size + 1)
                data = memoryview(plain)
            else:
                plain = pa.Codec(compression).decompress(packed, size, asbytes=False)
                data = memoryview(plain).cast('B')
        except (OSError, RuntimeError, EOFError, ValueError) as error:
            raise DamagedEpisodeError(
                f'{self._path.name}: a chunk does not unpack: {error}'
            ) from error
        if len(data) != size:
            raise DamagedEpisodeError(
                f'{self._path.name}: a chunk unpacks to {len(data)} bytes, it promised {size}'
            )
        if crc != 0 and zlib.crc32(data) != crc:
            raise DamagedEpisodeError(f'{self._path.name}: a chunk fails its CRC')
        return data

    def _record(self, opcode: int, data: memoryview) -> Iterator[tuple[str, memoryview]]:
        if opcode == MESSAGE:
            channel, *_ = _MESSAGE.unpack_from(data)
            topic = self._topic(channel)
            if topic is not None:
                self._budget.spend(len(data))
                yield topic, data[_MESSAGE.size :]
        elif opcode == SCHEMA:
            (number,) = struct.unpack_from('<H', data)
            name, at = _text(data, 2)
            encoding, at = _text(data, at)
            (size,) = struct.unpack_from('<I', data, at)
            self._schemas[number] = (name, encoding, bytes(data[at + 4 : at + 4 + size]))
        elif opcode == CHANNEL:
            number, schema = struct.unpack_from('<HH', data)
            topic, _ = _text(data, 4)
            self._channels[number] = self._checked(topic, schema)
        elif opcode == STATISTICS:
            (size,) = struct.unpack_from('<I', data, 42)
            pairs = struct.iter_unpack('<HQ', data[46 : 46 + size])
            self._promised = dict(pairs)

    def _topic(self, channel: int) -> str | None:
        if channel not in self._channels:
            raise DamagedEpisodeError(
                f'{self._path.name}: a message of the unknown channel {channel}'
            )
        self._counts[channel] += 1
        self._budget.messages += 1
        topic = self._channels[channel]
        if topic is not None:
            self._budget.wanted += 1
            if self._budget.wanted > self._budget.limits.max_messages:
                raise DamagedEpisodeError(
                    f'more than {self._budget.limits.max_messages} messages in the bag; record shorter episodes '
                    '(max_episode_s of recorder_node)'
                )
        return topic

    def _checked(self, topic: str, schema: int) -> str | None:
        """The topic if it is read and of the right type; None if it is not read."""
        wanted = self._topics.get(topic)
        if wanted is None:
            return None
        name, encoding, text = self._schemas.get(schema, ('nothing', '', b''))
        if name != wanted:
            raise DamagedEpisodeError(f'{topic} is of type {name}, expected {wanted}')
        if self._budget.limits.check_schemas and encoding == 'ros2msg':
            found = plain_definition(text.decode())
            if found != plain_definition(message_definition(wanted)):
                raise DamagedEpisodeError(
                    f'{topic}: the definition of {wanted} in the bag has other fields than the one installed here; '
                    'ingest it with the version of lwd_msgs that recorded it'
                )
        return topic


def plain_definition(text: str) -> list[str]:
    """The fields of a message definition, main type first, without comments, blank lines and spacing."""
    lines = (' '.join(line.split('#', 1)[0].split()) for line in text.splitlines())
    parts: list[list[str]] = [[]]
    for line in lines:
        if line.startswith('===='):
            parts.append([])
        elif line:
            parts[-1].append(line)
    main, *nested = parts
    return main + [line for part in sorted(nested) for line in part]


def _text(data: memoryview, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from('<I', data, at)
    end = at + 4 + size
    if end > len(data):
        raise DamagedEpisodeError(f'a text of {size} bytes in a record of {len(data)}')
    return str(data[at + 4 : end], 'utf-8'), end
