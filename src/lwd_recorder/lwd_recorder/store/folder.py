"""A store in a folder: a disk, a NAS, or the demo's own run directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from lwd_recorder.durable import copy_atomically, fsync_folder, sha256_of, write_atomically
from lwd_recorder.store.base import IntegrityError, StoredObject, StoreError, check_key


class FolderStore:
    """Keys are paths below the root. Objects appear by rename, so a reader never sees a part of one."""

    def __init__(self, root: Path) -> None:
        """Open a folder; it is made on the first put."""
        self.root = root.expanduser().resolve()
        self.uri = self.root.as_uri()

    def put_file(self, path: Path, key: str, sha256: str) -> None:
        """Copy a file in and verify what was copied; see `Store.put_file`."""
        target = self._target(key)
        try:
            copied = copy_atomically(path, target)
        except OSError as error:
            raise StoreError(f'{target}: cannot be written: {error.strerror or error}') from error
        if copied != sha256:
            target.unlink(missing_ok=True)
            raise IntegrityError(f'{path}: its sha256 is {copied}, expected {sha256}; not stored')

    def put_bytes(self, data: bytes, key: str) -> None:
        """Write a small object; see `Store.put_bytes`."""
        target = self._target(key)
        try:
            write_atomically(target, data)
        except OSError as error:
            raise StoreError(f'{target}: cannot be written: {error.strerror or error}') from error

    def get_file(self, key: str, path: Path) -> None:
        """Copy an object out; see `Store.get_file`."""
        try:
            copy_atomically(self._path(key), path)
        except OSError as error:
            raise StoreError(f'{key} of {self.uri}: {error.strerror or error}') from error

    def read_bytes(self, key: str) -> bytes:
        """Read an object; see `Store.read_bytes`."""
        try:
            return self._path(key).read_bytes()
        except OSError as error:
            raise StoreError(f'{key} of {self.uri}: {error.strerror or error}') from error

    def list(self, prefix: str = '') -> Iterator[StoredObject]:
        """Yield the objects under a prefix; hidden files (puts under way) are none; see `Store.list`."""
        folder, _, rest = prefix.rpartition('/')
        start = self._path(folder) if folder else self.root
        yield from self._walk(start, f'{folder}/' if folder else '', rest)

    def exists(self, key: str) -> bool:
        """Return whether there is a file under a key."""
        return self._path(key).is_file()

    def matches(self, key: str, size_bytes: int, sha256: str) -> bool:
        """Compare the size, then the bytes; see `Store.matches`."""
        path = self._path(key)
        try:
            return path.stat().st_size == size_bytes and sha256_of(path) == sha256
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(f'{key} of {self.uri}: {error.strerror or error}') from error

    def move(self, key: str, new_key: str) -> None:
        """Rename an object; see `Store.move`."""
        source, target = self._path(key), self._target(new_key)
        try:
            source.replace(target)
            fsync_folder(target.parent)
            fsync_folder(source.parent)
        except OSError as error:
            raise StoreError(
                f'{key} of {self.uri}: cannot become {new_key}: {error.strerror or error}'
            ) from error

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _target(self, key: str) -> Path:
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f'{path.parent}: cannot be made: {error.strerror or error}'
            ) from error
        return path

    def _walk(self, folder: Path, key_prefix: str, name_prefix: str) -> Iterator[StoredObject]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise StoreError(f'{folder}: cannot be listed: {error.strerror or error}') from error
        for entry in entries:
            if entry.name.startswith('.') or not entry.name.startswith(name_prefix):
                continue
            if entry.is_dir():
                yield from self._walk(Path(entry.path), f'{key_prefix}{entry.name}/', '')
            elif entry.is_file():
                try:
                    status = entry.stat()
                except FileNotFoundError:  # moved away between the listing and the look
                    continue
                yield StoredObject(f'{key_prefix}{entry.name}', status.st_size, status.st_mtime)
