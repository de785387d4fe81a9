"""`bag upload`: what waits in a spool into the store, now."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro
from lwd_policy_node.places import default_store

from lwd_recorder.command.answer import refuse, say
from lwd_recorder.command.places import PlaceError, SpoolEpisode, in_spool, is_spool
from lwd_recorder.command.progress import progress
from lwd_recorder.delivery import ConflictError, Uploader, UploaderConfig, deliver
from lwd_recorder.manifest import EpisodeManifest, ManifestError
from lwd_recorder.spool import Entry, Spool, SpoolError, State
from lwd_recorder.store import StoreError, StoreOptions, open_store

_WAITING = (State.CLOSED, State.UPLOADING)


@dataclass(frozen=True, slots=True)
class Upload:
    """Deliver now what waits in a spool, or one episode. Safe beside a running uploader_node."""

    path: tyro.conf.Positional[Path]
    """A spool's folder, or the folder of one episode. The local copy of what is in a spool goes once it is verified."""
    store: str = field(default_factory=default_store)
    """Folder or s3://bucket/prefix; else $LWD_STORE, or $LWD_HOME/store, whatever a launch's `store:=` was."""
    keep_committed: int = 0
    """Newest delivered episodes of the spool whose local copy stays while there is room."""
    options: tyro.conf.OmitArgPrefixes[StoreOptions] = field(default_factory=StoreOptions)
    """How the store is used."""
    json: bool = False
    """Print JSON instead of text."""

    def run(self) -> int:
        """Deliver; the exit code is 1 if something could not be."""
        try:
            place = in_spool(self.path)
            if place is not None:
                return self._from_spool(place.root, place)
            if is_spool(self.path):
                return self._from_spool(self.path, None)
            return self._folder()
        except (
            SpoolError, StoreError, ManifestError, ConflictError, PlaceError, OSError
        ) as error:  # fmt: skip
            return refuse(self.path, str(error), as_json=self.json)

    def _folder(self) -> int:
        """Deliver a folder that is in no spool; it stays."""
        if not self.path.is_dir():
            raise PlaceError(f'{self.path}: no such folder; give a spool, or an episode')
        manifest = EpisodeManifest.load(self.path)
        store = open_store(self.store, self.options)
        with progress('upload', manifest.size_bytes, quiet=self.json) as advance:
            delivery = deliver(store, self.path, on_bytes=advance)
        key = delivery.manifest.key_prefix
        document = {
            'path': str(self.path), 'episode_id': manifest.episode_id, 'delivered': True,
            'already': delivery.already, 'sent_bytes': delivery.sent_bytes, 'key': key,
        }  # fmt: skip
        verb = 'was there already' if delivery.already else 'delivered'
        text = f'episode {manifest.episode_id} {verb}: {store.uri}/{key}'
        return say(document, text, as_json=self.json)

    def _from_spool(self, root: Path, place: SpoolEpisode | None) -> int:
        store = open_store(self.store, self.options)
        spool = Spool(root)
        try:
            waiting = [
                entry
                for entry in spool.entries(*_WAITING)
                if place is None or entry.episode_id == place.episode_id
            ]
            if place is not None and not waiting:
                entry = spool.find(place.episode_id)
                state = 'not in the spool' if entry is None else entry.state
                raise SpoolError(
                    f'episode {place.episode_id} is {state}; only closed ones are uploaded'
                )
            with progress('upload', _bytes_of(spool, waiting), quiet=self.json) as advance:
                self._deliver(root, store, waiting, advance)
            return self._say(
                [spool.find(entry.episode_id) or entry for entry in waiting], store.uri
            )
        finally:
            spool.close()

    def _deliver(
        self, root: Path, store: Any, waiting: Sequence[Entry], advance: Callable[[int], None]
    ) -> None:
        config = UploaderConfig(keep_committed=self.keep_committed)
        uploader = Uploader(root, store, config, on_bytes=advance)
        uploader.run_once([entry.episode_id for entry in waiting])

    def _say(self, entries: Sequence[Entry], uri: str) -> int:
        delivered = (State.COMMITTED, State.DELETED)
        rows = [
            {
                'episode_id': one.episode_id,
                'state': str(one.state),
                'delivered': one.state in delivered,
                'reason': one.reason
                or ('' if one.state in delivered else 'another uploader has it'),
            }
            for one in entries
        ]
        failed = [row for row in rows if not row['delivered']]
        if self.json:
            print(json.dumps(rows, indent=2))
        else:
            print(f'{len(rows) - len(failed)} of {len(rows)} episodes are in {uri}')
            for row in failed:
                print(f'{row["episode_id"]} is {row["state"]}: {row["reason"]}', file=sys.stderr)
        return 1 if failed else 0


def _bytes_of(spool: Spool, entries: Sequence[Entry]) -> int:
    total = 0
    for entry in entries:
        try:
            total += EpisodeManifest.load(spool.folder(entry.episode_id)).size_bytes
        except ManifestError:  # its upload says what is wrong with it
            continue
    return total
