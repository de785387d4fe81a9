"""`bag ls`: every episode below a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from lwd_recorder.bag import BagError, bag_topics
from lwd_recorder.command.answer import refuse
from lwd_recorder.command.places import bag_folders, in_spool, manifest_in, size_of
from lwd_recorder.manifest import ManifestError
from lwd_recorder.spool import Spool, SpoolError


@dataclass(frozen=True, slots=True)
class Ls:
    """List every episode below a folder: a spool, a store, or one bag."""

    path: tyro.conf.Positional[Path]
    """Folder to look in."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        """Print the list; the exit code is 1 if there is no such folder, not for what is damaged in it."""
        if not self.path.is_dir():
            return refuse(self.path, f'{self.path}: no such folder', as_json=self.json)
        states: dict[Path, dict[str, str]] = {}
        found = (_row(folder, states) for folder in bag_folders(self.path))
        rows = [row for row in found if row is not None]
        if self.json:
            print(json.dumps(rows, indent=2))
            return 0
        for row in rows:
            print(
                f'{row["episode_id"]:<48} {row["outcome"]:<9} {row["state"]:<11} {row["messages"]:>8} messages '
                f'{row["size_bytes"]:>12} bytes  {row["path"]}'
            )
        print(f'{len(rows)} episodes')
        return 0


def _row(folder: Path, states: dict[Path, dict[str, str]]) -> dict[str, Any] | None:
    """Return a folder's row; None where it is gone: delivered and removed, or set aside, since it was found."""
    try:
        files = list(folder.iterdir())
    except FileNotFoundError:
        return None
    row: dict[str, Any] = {
        'path': str(folder),
        'episode_id': folder.name,
        'outcome': '-',
        'state': _state(folder, states),
        'messages': 0,
        'size_bytes': size_of(files),
        'damage': None,
    }
    if row['state'] == 'open':  # being recorded right now, or waiting for the next recorder
        return row
    try:
        row['messages'] = sum(topic.message_count for topic in bag_topics(folder))
        manifest = manifest_in(folder)
        if manifest is not None:
            row['episode_id'], row['outcome'] = manifest.episode_id, manifest.outcome
    except (BagError, ManifestError) as error:
        if not folder.is_dir():
            return None
        row['outcome'], row['damage'] = 'DAMAGED', str(error)
    return row


def _state(folder: Path, states: dict[Path, dict[str, str]]) -> str:
    """Return what the journal of the folder's spool says; empty where it is in none."""
    place = in_spool(folder)
    if place is None:
        return ''
    if place.root not in states:
        try:
            spool = Spool(place.root)
        except (SpoolError, OSError):  # a spool that is only readable still shows its bags
            states[place.root] = {}
        else:
            states[place.root] = {one.episode_id: str(one.state) for one in spool.entries()}
            spool.close()
    return states[place.root].get(place.episode_id, '')
