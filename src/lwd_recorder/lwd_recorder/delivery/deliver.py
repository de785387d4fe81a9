"""Puts one episode into a store: files first, verified, then the manifest, which is the commit.

Safe to run again after any interruption: keys never change, a file that is there already is not sent twice, and an
episode whose manifest is in the store is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lwd_recorder.manifest import MANIFEST_NAME, EpisodeManifest, ManifestError
from lwd_recorder.store.base import Store, StoreError


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


def deliver(store: Store, folder: Path, wall_s: Callable[[], float] = time.time) -> Delivery:
    """Put an episode's folder into a store.

    Args:
        store: where to.
        folder: holds manifest.json and the files that it lists.
        wall_s: wall clock, s since the epoch.

    Raises:
        ManifestError: the local manifest is missing or not valid.
        IntegrityError: a local file is not what the manifest says.
        ConflictError: the store has this episode with other bytes.
        StoreError: the store failed; try again later.
    """
    began_s = time.monotonic()
    manifest = EpisodeManifest.load(folder)
    manifest_key = f'{manifest.key_prefix}/{MANIFEST_NAME}'
    stored = _stored_manifest(store, manifest_key)
    if stored is not None:
        if not stored.same_content(manifest):
            raise ConflictError(
                f'{manifest_key} of {store.uri} has other files or hashes than {folder}'
            )
        return Delivery(stored, True, 0, time.monotonic() - began_s)
    sent_bytes = 0
    for file in manifest.files:
        key = f'{manifest.key_prefix}/{file.name}'
        if store.matches(key, file.size_bytes, file.sha256):
            continue
        if not (folder / file.name).is_file():
            raise ManifestError(f'{folder / file.name} is listed in the manifest and not there')
        store.put_file(folder / file.name, key, file.sha256)
        if not store.matches(key, file.size_bytes, file.sha256):
            raise StoreError(f'{key} of {store.uri} does not read back as it was sent')
        sent_bytes += file.size_bytes
    committed = replace(manifest, committed_wall_s=wall_s())
    store.put_bytes(committed.to_json().encode(), manifest_key)
    return Delivery(committed, False, sent_bytes, time.monotonic() - began_s)


def _stored_manifest(store: Store, key: str) -> EpisodeManifest | None:
    if not store.exists(key):
        return None
    try:
        return EpisodeManifest.from_json(store.read_bytes(key))
    except ManifestError as error:
        raise ConflictError(f'{key} of {store.uri} is there and not valid: {error}') from error
