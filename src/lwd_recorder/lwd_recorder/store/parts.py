"""A file in parts: what the sender hashes on the way, and the checksums that S3 makes of them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

MOST_PARTS = 10_000
"""Parts that S3 takes of one object."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a file."""

    number: int
    """From 1."""
    data: bytes
    """Its bytes."""
    sha256: bytes
    """Its digest."""

    @property
    def checksum(self) -> str:
        """The digest as S3 writes it."""
        return base64.b64encode(self.sha256).decode()

    @property
    def md5(self) -> str:
        """What S3 gives as the part's ETag, hex."""
        return hashlib.md5(self.data, usedforsecurity=False).hexdigest()


class FileParts:
    """Reads and hashes the next part while the last one is sent."""

    def __init__(self, path: Path, part_bytes: int) -> None:
        """Take note of the file; it is read by iterating.

        Args:
            path: the file.
            part_bytes: size of all parts but the last.
        """
        self._path = path
        self._part_bytes = part_bytes
        self._whole = hashlib.sha256()
        self._of_parts = hashlib.sha256()
        self.count = 0
        """Parts so far."""

    @property
    def sha256(self) -> str:
        """sha256 (hex) of what was read."""
        return self._whole.hexdigest()

    @property
    def checksum(self) -> str:
        """The composite checksum that S3 gives an object of these parts."""
        return f'{base64.b64encode(self._of_parts.digest()).decode()}-{self.count}'

    def __iter__(self) -> Iterator[Part]:
        """Yield the parts in their order.

        Raises:
            OSError: the disk does not give the bytes.
        """
        with self._path.open('rb') as file, ThreadPoolExecutor(1, 'part-reader') as reader:

            def read() -> bytes:
                data = file.read(self._part_bytes)
                self._whole.update(data)
                return data

            ahead: Future[bytes] = reader.submit(read)
            while data := ahead.result():
                digest = hashlib.sha256(data).digest()
                self._of_parts.update(digest)
                self.count += 1
                ahead = reader.submit(read)
                yield Part(self.count, data, digest)


def part_size(size_bytes: int, part_bytes: int) -> int:
    """Return the size of parts that a file is sent in: `part_bytes`, or more if there were too many."""
    return max(part_bytes, -(-size_bytes // MOST_PARTS))
