"""The weights a robot keeps on disk: whole versions only, the active one remembered.

Layout: ``<folder>/v<version>/{policy.safetensors, manifest.json}``, ``<folder>/active`` (a version
number), ``<folder>/failed`` (versions gone back from, a line each), ``<folder>/floor`` (oldest
version that may be taken), ``<folder>/deaths`` (a version and how often the process died as it loaded it, a line each),
``<folder>/incoming-<sha256>.part`` while bytes arrive. A version folder appears by one
rename, so a kill at any moment leaves either all of it or none.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from lwd_policy_node.weights.manifest import Manifest

POLICY_FILE = 'policy.safetensors'
MANIFEST_FILE = 'manifest.json'
ACTIVE_FILE = 'active'
FAILED_FILE = 'failed'
FLOOR_FILE = 'floor'
DEATHS_FILE = 'deaths'
DEATHS_ALLOWED = 3
"""Deaths in a row of the process that loads a version after which it is the version's doing: one or two may be a kill
or a power cut just then."""


class WeightsStore:
    """One robot's weights folder. One process writes it."""

    def __init__(self, folder: Path, keep: int = 3) -> None:
        if keep < 1:
            raise ValueError(f'keep is {keep}: at least the active version must be kept')
        self.folder = folder
        self._keep = keep
        self._on_trial = 0
        folder.mkdir(parents=True, exist_ok=True)
        for stray in folder.glob('staging-*'):
            shutil.rmtree(stray)

    def policy_path(self, version: int) -> Path:
        """Return where the safetensors file of a version lies or would lie."""
        return self._version_folder(version) / POLICY_FILE

    def part_path(self, manifest: Manifest) -> Path:
        """Return where the bytes of an announced file are gathered."""
        return self.folder / f'incoming-{manifest.sha256[:32]}.part'

    def delta_part_path(self, manifest: Manifest) -> Path:
        """Return where the bytes of the difference from its parent's file are gathered."""
        return self.folder / f'incoming-{manifest.sha256[:32]}-delta.part'

    def versions(self) -> list[int]:
        """Return the versions kept, oldest first."""
        names = (path.name for path in self.folder.glob('v*') if (path / MANIFEST_FILE).is_file())
        return sorted(int(name[1:]) for name in names if name[1:].isdigit())

    def manifest(self, version: int) -> Manifest:
        """Read the manifest of a kept version.

        Raises:
            ValueError: it is damaged.
            OSError: it is not there.
        """
        return Manifest.read(self._version_folder(version) / MANIFEST_FILE)

    def holds(self, manifest: Manifest) -> bool:
        """Whether this very file (version and hash) is kept."""
        if manifest.version not in self.versions():
            return False
        try:
            return self.manifest(manifest.version).sha256 == manifest.sha256
        except (ValueError, OSError):
            return False

    def same_file(self, manifest: Manifest) -> Path | None:
        """Return the kept file of another version with these very bytes, if there is one."""
        for version in reversed(self.versions()):
            try:
                if self.manifest(version).sha256 == manifest.sha256:
                    return self.policy_path(version)
            except (ValueError, OSError):
                continue
        return None

    def admit(self, manifest: Manifest, part: Path) -> Path:
        """Move a checked file in as a version, in place of a former one; return its path."""
        staging = self.folder / f'staging-{manifest.version}'
        target = self._version_folder(manifest.version)
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        part.replace(staging / POLICY_FILE)
        flush(staging / POLICY_FILE)
        _write_durably(staging / MANIFEST_FILE, manifest.to_json())
        flush(staging)
        if target.exists():
            shutil.rmtree(target)
        staging.replace(target)
        flush(self.folder)
        return target / POLICY_FILE

    def active(self) -> int:
        """Return the version last made active; 0 = none."""
        try:
            return int((self.folder / ACTIVE_FILE).read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def set_active(self, version: int) -> None:
        """Remember the active version durably, and forget the oldest beyond `keep`."""
        self._replace(ACTIVE_FILE, f'{version}\n')
        others = [kept for kept in self.versions() if kept < version]
        for old in others[: max(0, len(others) - (self._keep - 1))]:
            self.remove(old)

    def last_good(self) -> Iterator[Manifest]:
        """Yield the manifests to try at start-up: the active version first, then older ones."""
        newest = self.active()
        for version in sorted((v for v in self.versions() if v <= newest), reverse=True):
            try:
                yield self.manifest(version)
            except (ValueError, OSError):
                continue

    def remove(self, version: int) -> None:
        """Forget a version; nothing happens when it is not there."""
        shutil.rmtree(self._version_folder(version), ignore_errors=True)

    def mark_failed(self, version: int) -> None:
        """Forget a version for good: it failed while in use."""
        failed = sorted({*self.failed(), version})
        self._replace(FAILED_FILE, ''.join(f'{number}\n' for number in failed))
        self.remove(version)

    def failed(self) -> frozenset[int]:
        """Return the versions gone back from."""
        try:
            lines = (self.folder / FAILED_FILE).read_text().split()
        except FileNotFoundError:
            return frozenset()
        return frozenset(int(line) for line in lines if line.isdecimal())

    def deaths(self) -> dict[int, int]:
        """Return how often in a row the process died as it loaded a version; versions without a death are left out."""
        try:
            lines = (self.folder / DEATHS_FILE).read_text().splitlines()
        except (OSError, UnicodeDecodeError):
            return {}
        pairs = (line.split() for line in lines)
        return {
            int(pair[0]): int(pair[1])
            for pair in pairs
            if len(pair) == 2 and all(map(str.isdecimal, pair))
        }

    def begin_trial(self, version: int) -> None:
        """Count a death in advance: if the process dies now, it is there at the next start.

        One version is on trial at a time, for a death is to be laid at one door: the newest.
        """
        if version == self._on_trial:
            return
        deaths = self.deaths()
        deaths[version] = deaths.get(version, 0) + 1
        if self._on_trial in deaths:
            deaths[self._on_trial] -= 1
        self._on_trial = version
        self._count({known: count for known, count in deaths.items() if count})

    def end_trial(self, version: int) -> None:
        """Take the count back: whatever became of the version, the process lives."""
        if version == self._on_trial:
            self._on_trial = 0
        self._count({known: count for known, count in self.deaths().items() if known != version})

    def leave(self) -> None:
        """End the trial under way, if there is one: the process leaves because it is told to."""
        self.end_trial(self._on_trial)

    def survived(self, version: int) -> None:
        """The process has run a version: that one and the trials of older ones are over."""
        for older in {version, *(one for one in self.deaths() if one < version)}:
            if older == version or self.deaths().get(older, 0) < DEATHS_ALLOWED:
                self.end_trial(older)

    def floor(self) -> int:
        """Return the oldest version that may be taken; 0 = any."""
        try:
            return int((self.folder / FLOOR_FILE).read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def raise_floor(self, version: int) -> None:
        """Take no version below this one any more, durably; a lower one than before is no change."""
        if version > self.floor():
            self._replace(FLOOR_FILE, f'{version}\n')

    def clear_parts(self, but: Manifest | None = None) -> None:
        """Forget half-pulled files, except those of one version."""
        kept = () if but is None else (self.part_path(but), self.delta_part_path(but))
        for part in self.folder.glob('incoming-*.part'):
            if part not in kept:
                part.unlink(missing_ok=True)

    def _count(self, deaths: Mapping[int, int]) -> None:
        """A disk that takes no count keeps no weights away; that it refuses is said when a version is remembered."""
        if deaths != self.deaths():
            text = ''.join(f'{version} {count}\n' for version, count in sorted(deaths.items()))
            with suppress(OSError):
                self._replace(DEATHS_FILE, text)

    def _replace(self, name: str, text: str) -> None:
        staging = self.folder / f'{name}.new'
        _write_durably(staging, text)
        staging.replace(self.folder / name)
        flush(self.folder)

    def _version_folder(self, version: int) -> Path:
        return self.folder / f'v{version:06d}'


def _write_durably(path: Path, text: str) -> None:
    with path.open('w') as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def flush(path: Path) -> None:
    """Bring a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
