"""Read a bag with four readers and compare: ``python tools/readers/compare.py BAG``; first ``npm install`` here.

Ours, `mcap` (Python), `rosbags` (Python) and `@mcap/core` (TypeScript, by index) must see the same: count, bytes and
a sha256 over all bytes, by topic. The last two decode every message from the definitions in the file alone.
The exit code is 1 where they differ. Not a part of `make test`: it needs node.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lwd_recorder.bag import message_definitions, read_bag
from mcap.reader import make_reader
from rich.console import Console
from rich.table import Table
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

HERE = Path(__file__).parent


@dataclass
class Seen:
    """What a reader saw of one topic."""

    count: int = 0
    size_bytes: int = 0
    hashes: Any = field(default_factory=hashlib.sha256)

    def facts(self) -> tuple[int, int, str]:
        """Count, bytes, sha256."""
        return self.count, self.size_bytes, self.hashes.hexdigest()


def total(messages: Iterable[tuple[str, bytes]]) -> dict[str, tuple[int, int, str]]:
    """Sum messages up by topic."""
    topics: dict[str, Seen] = {}
    for topic, data in messages:
        seen = topics.setdefault(topic, Seen())
        seen.count += 1
        seen.size_bytes += len(data)
        seen.hashes.update(data)
    return {topic: seen.facts() for topic, seen in topics.items()}


def by_mcap(files: list[Path]) -> dict[str, tuple[int, int, str]]:
    """Read with the mcap package, files one after the other."""

    def messages() -> Iterable[tuple[str, bytes]]:
        for path in files:
            with path.open('rb') as file:
                for _, channel, message in make_reader(file, validate_crcs=True).iter_messages():
                    yield channel.topic, message.data

    return total(messages())


def by_rosbags(bag: Path) -> dict[str, tuple[int, int, str]]:
    """Read with rosbags and decode every message without our packages."""
    types = get_typestore(Stores.EMPTY)
    for name, text in message_definitions(bag).items():
        types.register(get_types_from_msg(text, name))

    def messages() -> Iterable[tuple[str, bytes]]:
        with Reader(bag) as reader:
            for connection, _, data in reader.messages():
                types.deserialize_cdr(data, connection.msgtype)
                yield connection.topic, bytes(data)

    return total(messages())


def by_node(files: list[Path]) -> dict[str, tuple[int, int, str]]:
    """Read with @mcap/core; its hashes are of each file, so only a bag of one file has one to compare."""
    command = ['node', str(HERE / 'read_mcap.mjs'), *map(str, files)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=HERE).stdout
    found: dict[str, tuple[int, int, str]] = {}
    for line in said.splitlines():
        for topic, seen in json.loads(line)['topics'].items():
            count, size, digest = found.get(topic, (0, 0, ''))
            digest = seen['sha256'] if not count else 'of several files'
            found[topic] = count + seen['count'], size + seen['bytes'], digest
    return found


def main() -> int:
    """Compare the bag of the command line."""
    bag = Path(sys.argv[1]).resolve()
    files = sorted(bag.glob('*.mcap'), key=lambda one: int(one.stem.rpartition('_')[2]))
    seen = {
        'ours': total((one.topic, one.data) for one in read_bag(bag)),
        'mcap': by_mcap(files),
        'rosbags': by_rosbags(bag),
        '@mcap/core': by_node(files),
    }
    equal = True
    table = Table('topic', *seen, 'equal')
    for topic in sorted(set().union(*seen.values())):
        facts = [one.get(topic, (0, 0, '')) for one in seen.values()]
        hashes = {one[2] for one in facts if one[2] != 'of several files'}
        same = len({one[:2] for one in facts}) == 1 and len(hashes) == 1
        equal &= same
        table.add_row(topic, *(f'{one[0]}, {one[1]} B' for one in facts), 'yes' if same else 'NO')
    Console().print(table)
    return 0 if equal else 1


if __name__ == '__main__':
    sys.exit(main())
