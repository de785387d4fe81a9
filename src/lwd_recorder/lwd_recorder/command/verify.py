"""`bag verify`: read every byte."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro

from lwd_recorder.bag import BagError, read_bag
from lwd_recorder.command.places import bag_folders, manifest_in, size_of
from lwd_recorder.command.progress import progress
from lwd_recorder.durable import sha256_of
from lwd_recorder.manifest import ManifestError


@dataclass(frozen=True, slots=True)
class Verify:
    """Read every byte: manifest, hashes, chunk CRCs, counts."""

    path: tyro.conf.Positional[Path]
    """A bag's folder, or a folder of bags."""
    json: bool = False
    """Print JSON instead of text."""

    def run(self) -> int:
        """Print a line a bag; the exit code is 1 if one is damaged or none is found."""
        folders = list(bag_folders(self.path))
        results = []
        with progress('verify', sum(map(bytes_in, folders)), quiet=self.json) as advance:
            for folder in folders:
                damage = find_damage(folder, advance)
                if damage is not None and not folder.is_dir():
                    continue  # delivered and removed, or set aside, since it was found
                results.append({'path': str(folder), 'ok': damage is None, 'damage': damage})
        if self.json:
            print(json.dumps(results, indent=2))
        else:
            for result in results:
                print(
                    f'{"ok     " if result["ok"] else "DAMAGED"} {result["damage"] or result["path"]}'
                )
            if not results:
                print(f'{self.path}: no bag in it', file=sys.stderr)
        return 0 if results and all(result['ok'] for result in results) else 1


def bytes_in(folder: Path) -> int:
    """Return the bytes of a folder's bag files."""
    return size_of(folder.glob('*.mcap'))


def find_damage(folder: Path, advance: Callable[[int], object] = lambda count: None) -> str | None:
    """Return what is wrong with an episode's folder, or None when all of it is right.

    Args:
        folder: holds a bag and, if it is an episode, its manifest.
        advance: told of the bytes that were looked at, those of `bytes_in` in all.
    """
    looked = 0
    try:
        manifest = manifest_in(folder)
        if manifest is not None:
            for file in manifest.files:
                if sha256_of(folder / file.name) != file.sha256:
                    return f'{folder / file.name}: not the sha256 of the manifest'
        for message in read_bag(folder):
            looked += len(message.data)
            if looked >= 1 << 20:
                advance(looked)
                looked = 0
    except (BagError, ManifestError) as error:
        return str(error)
    except OSError as error:
        return f'{error.filename}: {error.strerror}'
    return None
