"""Where an episode of the command line is: a spool's folder, or a folder by itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from lwd_recorder.bag.writer import METADATA_NAME
from lwd_recorder.manifest import MANIFEST_NAME, EpisodeManifest, ManifestError
from lwd_recorder.spool.spool import JOURNAL_NAME

_KEY = re.compile(r'/robots/[^/]+/episodes/[^/]+/[^/]+$')  # EpisodeManifest.key_prefix


class PlaceError(Exception):
    """What the command line names is not there, or not what the verb works on; the message says what is."""


class SpoolEpisode(NamedTuple):
    """An episode in a spool."""

    root: Path
    """The spool's folder."""
    episode_id: str
    """The episode."""


def is_spool(path: Path) -> bool:
    """Return whether a folder is a robot's spool."""
    return (path / JOURNAL_NAME).is_file()


def in_spool(folder: Path) -> SpoolEpisode | None:
    """Return which episode of which spool a folder is; None where it is in none."""
    folder = folder.expanduser().resolve()
    if folder.parent.name in ('episodes', 'quarantine') and is_spool(folder.parent.parent):
        return SpoolEpisode(folder.parent.parent, folder.name)
    return None


def bag_folders(path: Path) -> Iterator[Path]:
    """Yield every folder at or below a path that holds a bag or a manifest, sorted; originals of repairs are none.

    One may be gone by the time it is looked at: an uploader removes what it has delivered.
    """
    found = {
        Path(folder)
        for folder, _, names in os.walk(path)  # passes over what goes while it walks
        if any(name in (METADATA_NAME, MANIFEST_NAME) or name.endswith('.mcap') for name in names)
    }
    yield from sorted(folder for folder in found if '_originals' not in folder.parts)


def size_of(files: Iterable[Path]) -> int:
    """Return the bytes of those that are files and still there."""
    total = 0
    for file in files:
        with suppress(FileNotFoundError):
            total += file.stat().st_size if file.is_file() else 0
    return total


def manifest_in(folder: Path) -> EpisodeManifest | None:
    """Return a folder's manifest; None where it has none.

    Raises:
        ManifestError: it is not valid.
    """
    return EpisodeManifest.load(folder) if (folder / MANIFEST_NAME).is_file() else None


def undelivered(folder: Path) -> Path:
    """Return the folder if it may be changed: keys of a store never change.

    Raises:
        PlaceError: there is no such folder, or it is a store's.
    """
    if not folder.is_dir():
        raise PlaceError(f'{folder}: no such folder; give the folder of one episode')
    try:
        manifest = manifest_in(folder)
    except ManifestError:  # it does not say; its place does
        stored = _KEY.search(folder.resolve().as_posix()) is not None
    else:
        stored = manifest is not None and manifest.committed_wall_s > 0
    if stored:
        raise PlaceError(f'{folder} is in a store, where nothing is changed; work on a copy')
    return folder
