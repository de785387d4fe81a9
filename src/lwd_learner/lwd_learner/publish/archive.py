"""The learner's folder of published versions, and the counter that never goes back.

Layout: ``<run>/published/v<version>/{policy.safetensors, policy.safetensors.delta, manifest.json}``; the
difference is from the parent's file and only there if it is worth it. The counter belongs to
the signing key (``<name>.version`` beside it): robots refuse a version that is not newer, so two
runs that sign with one key must share it.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lwd_policy_node.weights import Manifest
from lwd_policy_node.weights.delta import write_delta
from lwd_policy_node.weights.manifest import DELTA_SUFFIX
from lwd_recorder.durable import fsync_folder, write_atomically

PUBLISHED_FOLDER = 'published'  # in a run folder
POLICY_FILE = 'policy.safetensors'
MANIFEST_FILE = 'manifest.json'
COPY_BYTES = 1 << 22
DELTA_WORTH = 0.8  # a difference larger than this share of the file is not kept


@dataclass(frozen=True, slots=True)
class Staged:
    """A file that is in the archive's folder but no version yet."""

    path: Path
    size_bytes: int
    sha256: str  # hex
    delta: Path | None = None
    delta_bytes: int = 0


class VersionCounter:
    """Numbers that only go up, over restarts and over processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def next(self, at_least: int = 1) -> int:
        """Take the next number, `at_least` or more, durably."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        with os.fdopen(descriptor, 'r+') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            text = file.read().strip()
            if text and not text.isdigit():
                raise ValueError(
                    f'{self._path} holds {text!r}, not a version number: write the number of the '
                    f'newest published version there'
                )
            number = max(int(text or 0) + 1, at_least)
            file.seek(0)
            file.truncate()
            file.write(f'{number}\n')
            file.flush()
            os.fsync(file.fileno())
        return number


class Archive:
    """Published versions on disk, served from memory-mapped files."""

    def __init__(self, folder: Path, keep: int = 5, *, tidy: bool = True) -> None:
        """Open or make the folder.

        Args:
            folder: where versions lie.
            keep: versions kept, besides those that are needed.
            tidy: remove what an earlier process left half-done; only under the `PublisherLock`.
        """
        if keep < 1:
            raise ValueError(f'keep is {keep}: at least the newest version must be kept')
        self.folder = folder
        self._keep = keep
        self._maps: dict[tuple[int, bool], mmap.mmap] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for stray in folder.glob('staging-*') if tidy else ():
            shutil.rmtree(stray) if stray.is_dir() else stray.unlink()

    def versions(self) -> list[int]:
        """Return the versions kept, oldest first."""
        names = (path.name for path in self.folder.glob('v*') if (path / MANIFEST_FILE).is_file())
        return sorted(int(name[1:]) for name in names if name[1:].isdigit())

    def policy_path(self, version: int) -> Path:
        """Return where the file of a version lies or would lie."""
        return self._version_folder(version) / POLICY_FILE

    def manifest(self, version: int) -> Manifest:
        """Read the manifest of a kept version."""
        return Manifest.read(self._version_folder(version) / MANIFEST_FILE)

    def delta_path(self, version: int) -> Path:
        """Return where the difference of a version from its parent lies or would lie."""
        path = self.policy_path(version)
        return path.with_name(path.name + DELTA_SUFFIX)

    def stage(self, source: Path, parent: int = 0) -> Staged:
        """Copy `source` in durably, and make its difference from a kept parent's file."""
        staged = self.folder / f'staging-{os.getpid()}-{source.name}'
        digest = hashlib.sha256()
        with source.open('rb') as reader, staged.open('wb') as writer:
            while piece := reader.read(COPY_BYTES):
                digest.update(piece)
                writer.write(piece)
            writer.flush()
            os.fsync(writer.fileno())
            size = writer.tell()
        whole = Staged(staged, size, digest.hexdigest())
        if parent not in self.versions():
            return whole
        delta = staged.with_name(staged.name + DELTA_SUFFIX)
        delta_bytes = write_delta(self.policy_path(parent), staged, delta)
        if delta_bytes > DELTA_WORTH * size:
            delta.unlink()
            return whole
        return Staged(staged, size, whole.sha256, delta, delta_bytes)

    def admit(self, manifest: Manifest, staged: Staged, needed: Iterable[int] = ()) -> None:
        """Make a staged file a version, in one rename; forget the oldest beyond `keep`.

        Versions in `needed` are never forgotten.
        """
        folder = self.folder / f'staging-v{manifest.version}'
        folder.mkdir()
        staged.path.replace(folder / POLICY_FILE)
        if staged.delta is not None:
            staged.delta.replace(folder / (POLICY_FILE + DELTA_SUFFIX))
        write_atomically(folder / MANIFEST_FILE, manifest.to_json().encode())
        folder.replace(self._version_folder(manifest.version))
        fsync_folder(self.folder)
        needed = {*needed, manifest.parent}
        for old in self.versions()[: -self._keep]:
            if old not in needed:
                shutil.rmtree(self._version_folder(old))

    def rewrite(self, manifest: Manifest) -> None:
        """Replace the manifest of a kept version, in one rename."""
        path = self._version_folder(manifest.version) / MANIFEST_FILE
        write_atomically(path, manifest.to_json().encode())

    def bytes_of(self, version: int, delta: bool = False) -> mmap.mmap:
        """Return the mapped file of a kept version, or its difference; call from one thread.

        Raises:
            LookupError: it is not kept; the text names the newest.
            OSError: it made room for a newer one at this very moment.
        """
        kept = self.versions()
        for key in [key for key in self._maps if key[0] not in kept]:
            del self._maps[key]
        if version not in kept:
            newest = f'newest is {kept[-1]}' if kept else 'nothing is published yet'
            raise LookupError(f'version {version} is not kept: {newest}')
        path = self.delta_path(version) if delta else self.policy_path(version)
        if not path.is_file():
            raise LookupError(f'version {version} has no difference from its parent')
        if (version, delta) not in self._maps:
            with path.open('rb') as file:
                self._maps[version, delta] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._maps[version, delta]

    def _version_folder(self, version: int) -> Path:
        return self.folder / f'v{version:06d}'
