"""Holds the message indexes behind a chunk to the chunk: they have no CRC, and a reader that seeks believes them."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable

_INDEX = struct.Struct('<BQHI')


class IndexCheck:
    """Walks along with the records of a file. What is wrong with an index loses no message: it can be made anew."""

    def __init__(self) -> None:
        """Begin at the start of a file."""
        self.wrong = False
        """Whether an index did not say what its chunk holds."""
        self._expected: dict[int, list[tuple[int, int]]] = {}
        self._seen: set[int] = set()

    def chunk(self, messages: Iterable[tuple[int, int, int]]) -> None:
        """Take note of a chunk: channel, log time and offset of each message."""
        self.end()
        found: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for channel_id, log_ns, offset in messages:
            found[channel_id].append((log_ns, offset))
        self._expected = dict(found)

    def index(self, record: bytes) -> None:
        """Compare a MessageIndex record, opcode and length included."""
        if len(record) < _INDEX.size:
            self.wrong = True
            return
        _, _, channel_id, size = _INDEX.unpack_from(record)
        self._seen.add(channel_id)
        body = record[_INDEX.size :]
        entries = (
            sorted(struct.iter_unpack('<QQ', body))
            if size == len(body) and size % 16 == 0
            else None
        )
        if entries != sorted(self._expected.get(channel_id, ())):
            self.wrong = True

    def end(self) -> None:
        """The chunk's indexes end here: a chunk has all of them or none."""
        if self._seen and self._seen != set(self._expected):
            self.wrong = True
        self._expected, self._seen = {}, set()
