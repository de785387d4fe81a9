"""Where episodes go: the few operations that a folder and S3 both do well, and the rules for keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

_KEY_PART = re.compile(r'^[A-Za-z0-9_][A-Za-z0-9._+=@-]{0,199}$')


class StoreError(Exception):
    """A store refused or failed; the message names the key and the store. Trying again later may help."""


class IntegrityError(StoreError):
    """Bytes are not what their sha256 says. Trying again does not help unless the source is read anew."""


class StoredObject(NamedTuple):
    """One object of a store."""

    key: str
    """Key, `/` between its parts."""
    size_bytes: int
    """Size, bytes."""
    mtime_s: float
    """Wall clock of its last write, s since the epoch."""


class UploadLog(Protocol):
    """Remembers uploads of several parts across restarts of the process; the spool's journal is one."""

    def upload(self, name: str) -> tuple[str, int] | None:
        """Return the id and the part size, bytes, of an object's upload under way; None when there is none."""

    def keep_upload(self, name: str, upload_id: str, part_bytes: int) -> None:
        """Remember one, durably, before its first part is sent."""

    def drop_upload(self, name: str) -> None:
        """Forget one that is complete or of no use."""


class Store(Protocol):
    """Objects under keys. A put is atomic: readers see all of the object or none of it."""

    uri: str
    """What `open_store` was given, for messages."""

    def put_file(self, path: Path, key: str, sha256: str) -> None:
        """Store a file's bytes under a key, replacing what is there, and verify them.

        Raises:
            IntegrityError: the bytes that were read or stored do not have this sha256 (hex).
            StoreError: the store failed.
        """

    def put_bytes(self, data: bytes, key: str) -> None:
        """Store a few bytes under a key, replacing what is there."""

    def get_file(self, key: str, path: Path) -> None:
        """Fetch an object into a file; the file appears whole or not at all. Raises StoreError if there is none."""

    def read_bytes(self, key: str) -> bytes:
        """Return a small object's bytes. Raises StoreError if there is none."""

    def list(self, prefix: str = '') -> Iterator[StoredObject]:
        """Yield every object whose key begins with `prefix`, in the keys' order within a folder."""

    def exists(self, key: str) -> bool:
        """Return whether there is an object under a key."""

    def matches(self, key: str, size_bytes: int, sha256: str) -> bool:
        """Return whether the object is there and has this size and sha256 (hex), by the store's own record or bytes."""

    def move(self, key: str, new_key: str) -> None:
        """Put an object under another key, replacing what is there. Raises StoreError if there is none."""


def check_key(key: str) -> str:
    """Return the key if it is safe in every store.

    Raises:
        StoreError: it is empty, absolute, climbs (`..`), is hidden, or has characters that need quoting.
    """
    if len(key) > 900 or not all(_KEY_PART.match(part) for part in key.split('/')):
        raise StoreError(
            f'key {key[:200]!r} is not allowed: parts of letters, digits and ._+=@- between slashes, '
            'none empty or hidden'
        )
    return key
