"""The learner's folder of published versions, and the counter that never goes back.

Layout: ``<run>/published/v<version>/{policy.safetensors, manifest.json}``. The counter belongs to
the signing key (``<name>.version`` beside it): robots refuse a version that is not newer, so two
runs that sign with one key must share it.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import shutil
from pathlib import Path

from lwd_policy_node.weights import Manifest

POLICY_FILE = 'policy.safetensors'
MANIFEST_FILE = 'manifest.json'
COPY_BYTES = 1 << 22


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

    def __init__(self, folder: Path, keep: int = 5) -> None:
        if keep < 1:
            raise ValueError(f'keep is {keep}: at least the newest version must be kept')
        self.folder = folder
        self._keep = keep
        self._maps: dict[int, mmap.mmap] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for stray in folder.glob('staging-*'):
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

    def stage(self, source: Path) -> tuple[Path, int, str]:
        """Copy `source` in durably; return (staged path, size in bytes, sha256 hex)."""
        staged = self.folder / f'staging-{os.getpid()}-{source.name}'
        digest = hashlib.sha256()
        with source.open('rb') as reader, staged.open('wb') as writer:
            while piece := reader.read(COPY_BYTES):
                digest.update(piece)
                writer.write(piece)
            writer.flush()
            os.fsync(writer.fileno())
            size = writer.tell()
        return staged, size, digest.hexdigest()

    def admit(self, manifest: Manifest, staged: Path) -> None:
        """Make a staged file a version, in one rename, and forget the oldest beyond `keep`."""
        folder = self.folder / f'staging-v{manifest.version}'
        folder.mkdir()
        staged.replace(folder / POLICY_FILE)
        (folder / MANIFEST_FILE).write_text(manifest.to_json())
        folder.replace(self._version_folder(manifest.version))
        for old in self.versions()[: -self._keep]:
            shutil.rmtree(self._version_folder(old))
            self._maps.pop(old, None)

    def bytes_of(self, version: int) -> mmap.mmap:
        """Return the mapped file of a kept version; call from one thread.

        Raises:
            LookupError: it is not kept; the text names the newest.
        """
        kept = self.versions()
        if version not in kept:
            self._maps.pop(version, None)
            newest = f'newest is {kept[-1]}' if kept else 'nothing is published yet'
            raise LookupError(f'version {version} is not kept: {newest}')
        if version not in self._maps:
            with self.policy_path(version).open('rb') as file:
                self._maps[version] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._maps[version]

    def _version_folder(self, version: int) -> Path:
        return self.folder / f'v{version:06d}'
