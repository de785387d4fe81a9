"""Where episodes go: the few operations that a folder and S3 both do well, and the rules for keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

_KEY_PART = re.compile(r'^[A-Za-z0-9_][A-Za-z0-9._+=@-]{0,199}$')

OnBytes = Callable[[int], None]
"""Told how many more bytes are in the store; what it raises interrupts the upload, which can be resumed."""


class StoreError(Exception):
    """A store refused or failed; the message names the key and the store. Trying again later may help."""


class IntegrityError(StoreError):
    """Bytes are not what their sha256 says. Trying again does not help unless the source is read anew."""


class ExistsError(StoreError):
    """There is an object under the key already; keys are immutable."""


class StoredObject(NamedTuple):
    """One object of a store."""

    key: str
    """Key, `/` between its parts."""
    size_bytes: int
    """Size, bytes."""
    mtime_s: float
    """Wall clock of its last write, s since the epoch."""


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How a store is used."""

    part_bytes: int = 16 << 20
    """Files above this size are sent in parts of it; an interrupted upload sends less than one again, bytes."""
    max_bytes_per_s: float = 0.0
    """Most bytes a second that leave; 0 = no cap."""
    connect_timeout_s: float = 5.0
    """How long a connection may take, s."""
    read_timeout_s: float = 60.0
    """How long a server may be silent before the attempt counts as failed, s."""


class UploadLog(Protocol):
    """Remembers uploads of several parts across restarts of the process; the spool's journal is one.

    An object's name is the store's address, a slash and its key.
    """

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

    def put_file(
        self,
        path: Path,
        key: str,
        sha256: str,
        log: UploadLog | None = None,
        on_bytes: OnBytes | None = None,
    ) -> int:
        """Store a file's bytes under a free key and verify what is stored.

        Args:
            path: the file.
            key: where to.
            sha256: of the file, hex.
            log: where an interrupted upload is remembered, so that the next call goes on with it.
            on_bytes: see OnBytes.

        Returns:
            Bytes that were sent; less than the file's size when an interrupted upload was resumed.

        Raises:
            IntegrityError: the bytes that were read or stored do not have this sha256.
            ExistsError: the key is taken.
            StoreError: the store failed.
        """

    def put_bytes(self, data: bytes, key: str, *, replace: bool = True) -> None:
        """Store a few bytes under a key. Raises ExistsError if it is taken and not to be replaced."""

    def get_file(self, key: str, path: Path) -> None:
        """Fetch an object into a file; the file appears whole or not at all. Raises StoreError if there is none."""

    def read_bytes(self, key: str) -> bytes:
        """Return a small object's bytes. Raises StoreError if there is none."""

    def list(self, prefix: str = '', after: str = '') -> Iterator[StoredObject]:
        """Yield the objects whose keys begin with `prefix` and sort behind `after`, in order within a folder.

        Of `q/b/1` and `q/b-c/1`, which comes first is the store's own affair: AWS sorts keys, others folder by folder.
        """

    def folders(self, prefix: str = '') -> Iterator[str]:
        """Yield the names right below `prefix`, a folder's with its slash or '', that have objects below them."""

    def exists(self, key: str) -> bool:
        """Return whether there is an object under a key."""

    def matches(self, key: str, size_bytes: int, sha256: str, path: Path | None = None) -> bool:
        """Return whether the object is there and has this size and sha256 (hex), by the store's own record or bytes.

        With `path`, a file of this sha256, a checksum that the store keeps of parts can be compared, too.
        """

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
