"""Good bags made bad, each in its own way and with the right hashes: what a broken or hostile robot may deliver."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import lz4.frame
import numpy as np
import yaml
import zstandard
from lwd_recorder.bag import read_bag
from lwd_recorder.bag.schema import message_definition
from lwd_recorder.durable import sha256_of
from lwd_recorder.manifest import EpisodeManifest, file_record
from lwd_recorder.store import FolderStore
from mcap.writer import CompressionType, Writer

MAGIC = b'\x89MCAP0\r\n'
BOMB_BYTES = 1 << 29

Message = tuple[str, str, str, bytes, int]
"""Topic, type, definition, CDR bytes, log time."""


@dataclass(frozen=True)
class GoodBag:
    """What the bad ones are made from."""

    manifest: EpisodeManifest
    messages: list[Message]
    metadata: str

    @classmethod
    def read(cls, folder: Path, manifest: EpisodeManifest) -> GoodBag:
        messages = [
            (topic, kind, message_definition(kind), data, at)
            for topic, kind, data, at in read_bag(folder)
        ]
        return cls(manifest, messages, (folder / 'metadata.yaml').read_text())


def mcap_of(messages: list[Message]) -> bytes:
    """The file, with right CRCs and statistics."""
    out = io.BytesIO()
    writer = Writer(out, chunk_size=64 * 1024, compression=CompressionType.LZ4)
    writer.start(profile='ros2', library='test')
    channels: dict[tuple[str, str, str], int] = {}
    for topic, kind, definition, data, at in messages:
        key = topic, kind, definition
        if key not in channels:
            schema = writer.register_schema(kind, 'ros2msg', definition.encode())
            channels[key] = writer.register_channel(topic, 'cdr', schema)
        writer.add_message(channels[key], at, data, at)
    writer.finish()
    return out.getvalue()


def records(mcap: bytes) -> Iterator[tuple[int, int, int]]:
    """Opcode, offset and length of each record's content."""
    at = len(MAGIC)
    while at < len(mcap) - len(MAGIC):
        opcode, length = struct.unpack_from('<BQ', mcap, at)
        yield opcode, at + 9, length
        at += 9 + length


Change = Callable[[np.random.Generator, GoodBag], tuple[bytes, str]]
"""The .mcap file and metadata.yaml of a bad bag."""


def cut_short(rng: np.random.Generator, good: GoodBag) -> tuple[bytes, str]:
    mcap = mcap_of(good.messages)
    return mcap[: int(rng.integers(0, len(mcap)))], good.metadata


def flipped_in_a_chunk(rng: np.random.Generator, good: GoodBag) -> tuple[bytes, str]:
    mcap = bytearray(mcap_of(good.messages))
    chunks = [(at, size) for opcode, at, size in records(bytes(mcap)) if opcode == 6]
    for _ in range(int(rng.integers(1, 20))):
        at, size = chunks[int(rng.integers(len(chunks)))]
        where = at + 60 + int(rng.integers(size - 60))  # behind the chunk's header: packed data
        mcap[where] ^= 1 << int(rng.integers(8))
    return bytes(mcap), good.metadata


def huge_length(rng: np.random.Generator, good: GoodBag) -> tuple[bytes, str]:
    mcap = bytearray(mcap_of(good.messages))
    read = [at for opcode, at, _ in records(bytes(mcap)) if opcode in (3, 4, 6)]
    at = read[int(rng.integers(len(read)))]
    struct.pack_into('<Q', mcap, at - 8, int(rng.integers(len(mcap), 2**63)))
    return bytes(mcap), good.metadata


def huge_chunk(rng: np.random.Generator, good: GoodBag) -> tuple[bytes, str]:
    mcap = bytearray(mcap_of(good.messages))
    chunks = [at for opcode, at, _ in records(bytes(mcap)) if opcode == 6]
    claimed = int(rng.integers(1 << 20, 2**63))
    struct.pack_into('<Q', mcap, chunks[int(rng.integers(len(chunks)))] + 16, claimed)
    return bytes(mcap), good.metadata


def bomb(rng: np.random.Generator, good: GoodBag) -> tuple[bytes, str]:
    """A chunk of a few kilobytes that unpacks to half a gigabyte, and says so or not."""
    kind = ('lz4', 'zstd')[int(rng.integers(2))]
    packed = _bomb(kind)
    claimed = (BOMB_BYTES, 1000, 30 << 20)[int(rng.integers(3))]
    crc = int(rng.integers(2))
    body = struct.pack('<QQQII', 0, 1, claimed, crc, len(kind)) + kind.encode()
    body += struct.pack('<Q', len(packed)) + packed
    mcap = mcap_of(good.messages)
    at = next(at for opcode, at, _ in records(mcap) if opcode == 6) - 9
    return mcap[:at] + struct.pack('<BQ', 6, len(body)) + body + mcap[at:], good.metadata


_bombs: dict[str, bytes] = {}


def _bomb(kind: str) -> bytes:
    if kind not in _bombs:
        zeros = bytes(BOMB_BYTES)
        _bombs[kind] = (
            lz4.frame.compress(zeros) if kind == 'lz4' else zstandard.compress(zeros, 19)
        )
    return _bombs[kind]


def _topics(good: GoodBag) -> list[str]:
    wanted = ('joint_states', 'executed_action', 'compressed')
    return sorted({m[0] for m in good.messages if m[0].endswith(wanted)})


def topic_missing(rng: np.random.Generator, good: GoodBag) -> tuple[bytes, str]:
    topics = _topics(good)
    gone = topics[int(rng.integers(len(topics)))]
    left = [message for message in good.messages if message[0] != gone]
    return mcap_of(left), good.metadata.replace(
        f'message_count: {len(good.messages)}', f'message_count: {len(left)}'
    )


def wrong_type(rng: np.random.Generator, good: GoodBag) -> tuple[bytes, str]:
    topics, types = _topics(good), sorted({message[1] for message in good.messages})
    topic = topics[int(rng.integers(len(topics)))]
    other = types[int(rng.integers(len(types)))]
    changed = [
        (t, 'std_msgs/msg/String' if k == other else other, d, data, at)
        if t == topic
        else (t, k, d, data, at)
        for t, k, d, data, at in good.messages
    ]
    return mcap_of(changed), good.metadata


def wrong_schema(rng: np.random.Generator, good: GoodBag) -> tuple[bytes, str]:
    topics = _topics(good)
    topic = topics[int(rng.integers(len(topics)))]

    def bend(text: str) -> str:
        lines = text.splitlines()
        fields = [
            i for i, line in enumerate(lines) if line.split('#')[0].strip() and '=' not in line
        ]
        lines[fields[int(rng.integers(len(fields)))]] = f'float64 x{int(rng.integers(1000))}'
        return '\n'.join(lines)

    definition = bend(next(message[2] for message in good.messages if message[0] == topic))
    changed = [
        (t, k, definition if t == topic else d, data, at) for t, k, d, data, at in good.messages
    ]
    return mcap_of(changed), good.metadata


def not_finite(rng: np.random.Generator, good: GoodBag) -> tuple[bytes, str]:
    """A position of a state or a command of the episode is NaN or infinite."""
    number = struct.pack('<d', (np.nan, np.inf, -np.inf)[int(rng.integers(3))])
    topic = ('joint_states', 'executed_action')[int(rng.integers(2))]
    marker = struct.pack('<d', 0.25 if topic == 'joint_states' else 0.5)
    name = good.manifest.episode_id.encode()
    mine = [
        i
        for i, m in enumerate(good.messages)
        if m[0].endswith(topic) and (topic == 'joint_states' or name in m[3])
    ]
    i = mine[int(rng.integers(len(mine)))]
    t, k, d, data, at = good.messages[i]
    changed = list(good.messages)
    changed[i] = t, k, d, data.replace(marker, number), at
    return mcap_of(changed), good.metadata


def message_cut_short(rng: np.random.Generator, good: GoodBag) -> tuple[bytes, str]:
    return _with_message(rng, good, lambda data: data[: int(rng.integers(0, 20))])


def message_claims_much(rng: np.random.Generator, good: GoodBag) -> tuple[bytes, str]:
    """Every length behind the stamp is 2^32 - 1."""
    return _with_message(rng, good, lambda data: data[:12] + b'\xff' * (len(data) - 12))


def no_jpeg(rng: np.random.Generator, good: GoodBag) -> tuple[bytes, str]:
    """The picture's markers or header are gone."""

    def bend(data: bytes) -> bytes:
        start, end = data.index(b'\xff\xd8'), data.rindex(b'\xff\xd9')
        where = (start, end, data.index(b'\xff\xc0') + 5)[int(rng.integers(3))]
        return data[:where] + b'\x00\x00' + data[where + 2 :]

    return _with_message(rng, good, bend, 'compressed')


def _with_message(
    rng: np.random.Generator,
    good: GoodBag,
    bend: Callable[[bytes], bytes],
    ending: str = '',
) -> tuple[bytes, str]:
    topics = _topics(good)
    mine = [i for i, m in enumerate(good.messages) if m[0] in topics and m[0].endswith(ending)]
    i = mine[int(rng.integers(len(mine)))]
    t, k, d, data, at = good.messages[i]
    changed = list(good.messages)
    changed[i] = t, k, d, bend(data), at
    return mcap_of(changed), good.metadata


def metadata_wrong(rng: np.random.Generator, good: GoodBag) -> tuple[bytes, str]:
    document = yaml.safe_load(good.metadata)
    information = document['rosbag2_bagfile_information']
    texts = [
        '',
        '[' * 5000,
        '\x00\x01',
        '{a: &a [1], b: &b [*a,*a], c: [*b,*b]}',
        good.metadata[: len(good.metadata) // 3],
        good.metadata.replace('mcap', 'sqlite3'),
        yaml.safe_dump(
            {'rosbag2_bagfile_information': information | {'message_count': int(rng.integers(10))}}
        ),
        yaml.safe_dump(
            {'rosbag2_bagfile_information': information | {'relative_file_paths': ['../x.mcap']}}
        ),
        yaml.safe_dump({'rosbag2_bagfile_information': information | {'relative_file_paths': 7}}),
    ]
    return mcap_of(good.messages), texts[int(rng.integers(len(texts)))]


CHANGES: tuple[Change, ...] = (
    cut_short,
    flipped_in_a_chunk,
    huge_length,
    huge_chunk,
    bomb,
    topic_missing,
    wrong_type,
    wrong_schema,
    not_finite,
    message_cut_short,
    message_claims_much,
    no_jpeg,
    metadata_wrong,
)


def deliver_bad(
    store: FolderStore, folder: Path, good: GoodBag, number: int, seed: int
) -> tuple[str, str]:
    """Put bad bag `number` into the store; answers its episode id and what was done to it."""
    change = CHANGES[number % len(CHANGES)]
    rng = np.random.default_rng([seed, number])
    old = good.manifest.episode_id
    name = f'{old[:-5]}{10_000 + number}'
    renamed = [
        (t, k, d, data.replace(old.encode(), name.encode()), at)
        for t, k, d, data, at in good.messages
    ]
    mine = GoodBag(
        replace(good.manifest, episode_id=name), renamed, good.metadata.replace(old, name)
    )
    mcap, metadata = change(rng, mine)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for file, data in ((f'{name}_0.mcap', mcap), ('metadata.yaml', metadata.encode())):
        path = folder / file
        path.write_bytes(data)
        files.append(file_record(path))
        target = store.root / mine.manifest.key_prefix / file
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
        assert sha256_of(target) == files[-1].sha256
    manifest = replace(mine.manifest, files=tuple(files))
    (store.root / manifest.key_prefix / 'manifest.json').write_text(manifest.to_json())
    return name, change.__name__
