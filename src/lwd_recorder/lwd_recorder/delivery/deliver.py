"""Puts one episode into a store: files first, verified, then the manifest, which is the commit.

Safe to run again after any interruption: keys never change, a file that is there already is not sent twice, a file that
was sent in part is gone on with, and an episode whose manifest is in the store is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lwd_recorder.bag.records import FileRecord
from lwd_recorder.manifest import MANIFEST_NAME, EpisodeManifest, ManifestError
from lwd_recorder.store.base import ExistsError, OnBytes, Store, UploadLog


class ConflictError(Exception):
    """The store holds another episode under the same id."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What `deliver` did."""

    manifest: EpisodeManifest
    """The manifest as it is in the store."""
    already: bool
    """True when the store had the whole episode before."""
    sent_bytes: int
    """Bytes of the files that were sent."""
    elapsed_s: float
    """Time taken, s."""
    relabelled: str = ''
    """Outcome that was given here too late: the store has another one; empty when they agree."""


def deliver(
    store: Store,
    folder: Path,
    wall_s: Callable[[], float] = time.time,
    log: UploadLog | None = None,
    on_bytes: OnBytes | None = None,
) -> Delivery:
    """Put an episode's folder into a store.

    Args:
        store: where to.
        folder: holds manifest.json and the files that it lists.
        wall_s: wall clock, s since the epoch.
        log: where interrupted uploads are remembered.
        on_bytes: told of the bytes that are in the store; what it raises interrupts, and the next call goes on.

    Raises:
        ManifestUnreadableError: the system does not read the local manifest at the moment; try again later.
        ManifestError: the local manifest is missing or not valid.
        IntegrityError: a local file is not what the manifest says.
        ConflictError: the store has this episode with other bytes.
        StoreError: the store failed; try again later.
    """
    began_s = time.monotonic()
    manifest = EpisodeManifest.load(folder)
    manifest_key = f'{manifest.key_prefix}/{MANIFEST_NAME}'
    stored = _stored_manifest(store, manifest_key, manifest)
    if stored is not None:
        return Delivery(stored, True, 0, time.monotonic() - began_s, _too_late(manifest, stored))
    sent_bytes = sum(
        _deliver_file(store, folder, manifest, file, log, on_bytes) for file in manifest.files
    )
    committed = replace(manifest, committed_wall_s=wall_s())
    already = False
    try:
        store.put_bytes(committed.to_json().encode(), manifest_key, replace=False)
    except ExistsError:  # another uploader was faster, or an earlier answer was lost
        stored = _stored_manifest(store, manifest_key, manifest)
        if stored is None:
            raise
        committed, already = stored, True
    elapsed_s = time.monotonic() - began_s
    return Delivery(committed, already, sent_bytes, elapsed_s, _too_late(manifest, committed))


def _too_late(manifest: EpisodeManifest, stored: EpisodeManifest) -> str:
    """Return what is to be known of a verdict that was changed when the store had the manifest already."""
    if manifest.outcome == stored.outcome:
        return ''
    return (
        f'its outcome was changed to {manifest.outcome} when the store had it as {stored.outcome} already; '
        'keys are immutable: relabel it in the replay'
    )


def _deliver_file(
    store: Store,
    folder: Path,
    manifest: EpisodeManifest,
    file: FileRecord,
    log: UploadLog | None,
    on_bytes: OnBytes | None,
) -> int:
    key, path = f'{manifest.key_prefix}/{file.name}', folder / file.name
    if not path.is_file():
        raise ManifestError(f'{path} is listed in the manifest and not there')
    if not (store.exists(key) and store.matches(key, file.size_bytes, file.sha256, path)):
        try:
            return store.put_file(path, key, file.sha256, log, on_bytes)
        except ExistsError as error:
            if not store.exists(key):  # another writer was at it that moment: try again later
                raise
            if not store.matches(key, file.size_bytes, file.sha256, path):
                raise ConflictError(
                    f'{key} of {store.uri} is there with other bytes than {path}, and keys are immutable: '
                    'another episode has this id'
                ) from error
    if log is not None:  # killed after the object was made, before that was noted
        log.drop_upload(f'{store.uri}/{key}')
    if on_bytes is not None:
        on_bytes(file.size_bytes)
    return 0


def _stored_manifest(store: Store, key: str, manifest: EpisodeManifest) -> EpisodeManifest | None:
    """Return the store's manifest of the same episode, or None; another one under the key is a ConflictError."""
    if not store.exists(key):
        return None
    try:
        stored = EpisodeManifest.from_json(store.read_bytes(key))
    except ManifestError as error:
        raise ConflictError(f'{key} of {store.uri} is there and not valid: {error}') from error
    if not stored.same_content(manifest):
        raise ConflictError(
            f'{key} of {store.uri} has other files or hashes than this episode: another one has its id'
        )
    return stored
