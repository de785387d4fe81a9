"""A store in a folder: a disk, a NAS, or the demo's own run directory."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lwd_recorder.durable import (
    copy_atomically,
    fsync_folder,
    sha256_of,
    temporary_name,
    write_atomically,
)
from lwd_recorder.store.base import (
    ExistsError,
    IntegrityError,
    OnBytes,
    StoredObject,
    StoreError,
    StoreOptions,
    UploadLog,
    check_key,
)
from lwd_recorder.store.rate import RateLimit

_BLOCK = 1 << 20
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)  # FAT, some network folders


class FolderStore:
    """Keys are paths below the root. Objects appear by rename, so a reader never sees a part of one."""

    def __init__(self, root: Path, options: StoreOptions | None = None) -> None:
        """Open a folder; it is made on the first put."""
        self.root = root.expanduser().resolve()
        self.uri = self.root.as_uri()
        self._limit = RateLimit((options or StoreOptions()).max_bytes_per_s)

    def put_file(
        self,
        path: Path,
        key: str,
        sha256: str,
        log: UploadLog | None = None,
        on_bytes: OnBytes | None = None,
    ) -> int:
        """Copy a file in and read the copy back; see `Store.put_file`.

        An interrupted copy is a hidden file beside the target, named after the sha256; it is compared and gone on with.
        """
        target = self._target(key)
        if target.exists():
            raise ExistsError(f'{target} is there already; keys are immutable')
        partial = target.with_name(f'.{target.name}.{sha256[:16]}.part')
        try:
            with _locked(partial) as file:
                copied, sent = self._copy(path, file, on_bytes)
                if copied != sha256:
                    partial.unlink()
                    raise IntegrityError(
                        f'{path}: its sha256 is {copied}, expected {sha256}; not stored'
                    )
                if sha256_of(partial) != sha256:
                    partial.unlink()
                    raise StoreError(f'{target} does not read back as it was written')
                _publish(partial, target)
        except OSError as error:
            raise StoreError(f'{target}: cannot be written: {error.strerror or error}') from error
        return sent

    def put_bytes(self, data: bytes, key: str, *, replace: bool = True) -> None:
        """Write a small object; see `Store.put_bytes`."""
        target = self._target(key)
        try:
            if replace:
                write_atomically(target, data)
                return
            temporary = temporary_name(target)
            write_atomically(temporary, data)
            try:
                _publish(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)
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

    def list(self, prefix: str = '', after: str = '') -> Iterator[StoredObject]:
        """Yield the objects under a prefix; hidden files (puts under way) are none; see `Store.list`."""
        folder, _, rest = prefix.rpartition('/')
        start = self._path(folder) if folder else self.root
        yield from self._walk(start, f'{folder}/' if folder else '', rest, after)

    def folders(self, prefix: str = '') -> Iterator[str]:
        """Yield the folders below a folder; see `Store.folders`."""
        start = self._path(prefix.rstrip('/')) if prefix else self.root
        for entry in _entries(start):
            if entry.is_dir() and not entry.name.startswith('.'):
                yield entry.name

    def exists(self, key: str) -> bool:
        """Return whether there is a file under a key."""
        return self._path(key).is_file()

    def matches(self, key: str, size_bytes: int, sha256: str, path: Path | None = None) -> bool:
        """Compare the size, then the bytes; see `Store.matches`."""
        stored = self._path(key)
        try:
            return stored.stat().st_size == size_bytes and sha256_of(stored) == sha256
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

    def _copy(self, path: Path, partial: IO[bytes], on_bytes: OnBytes | None) -> tuple[str, int]:
        """Make the partial file the whole one; return the sha256 (hex) of the source and the bytes written."""
        digest, kept, sent = hashlib.sha256(), 0, 0
        with path.open('rb') as source:
            while block := source.read(_BLOCK):
                digest.update(block)
                if sent == 0 and partial.read(len(block)) == block:
                    kept += len(block)
                else:
                    if sent == 0:
                        partial.seek(kept)
                        partial.truncate()
                    self._limit.take(len(block))
                    partial.write(block)
                    sent += len(block)
                if on_bytes is not None:
                    on_bytes(len(block))
        partial.truncate(kept + sent)
        partial.flush()
        os.fsync(partial.fileno())
        os.posix_fadvise(partial.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return digest.hexdigest(), sent

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

    def _walk(
        self, folder: Path, key_prefix: str, name_prefix: str, after: str
    ) -> Iterator[StoredObject]:
        for entry in _entries(folder):
            if entry.name.startswith('.') or not entry.name.startswith(name_prefix):
                continue
            key = f'{key_prefix}{entry.name}'
            if entry.is_dir():
                if f'{key}/' >= after or after.startswith(f'{key}/'):
                    yield from self._walk(Path(entry.path), f'{key}/', '', after)
            elif key > after and entry.is_file():
                try:
                    status = entry.stat()
                except FileNotFoundError:  # moved away between the listing and the look
                    continue
                yield StoredObject(key, status.st_size, status.st_mtime)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, by name; nothing when there is none."""
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f'{folder}: cannot be listed: {error.strerror or error}') from error


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """Open a partial file for one writer."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), 'r+b') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f'{path} is written by another uploader; later') from None
        yield file


def _publish(temporary: Path, target: Path) -> None:
    """Give a file its name unless that is taken."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise ExistsError(f'{target} is there already; keys are immutable') from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if target.exists():
            raise ExistsError(f'{target} is there already; keys are immutable') from None
        temporary.replace(target)
    temporary.unlink(missing_ok=True)
    fsync_folder(target.parent)
