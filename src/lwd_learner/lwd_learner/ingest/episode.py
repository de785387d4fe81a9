"""One delivered episode, from its manifest to frames: fetched, verified, read, aligned."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lwd_policy_node.profile import RobotProfile
from lwd_recorder.durable import sha256_of
from lwd_recorder.manifest import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    EpisodeManifest,
    ManifestError,
)
from lwd_recorder.store import FolderStore, Store, StoredObject, StoreError

from lwd_learner.ingest.align import AlignConfig, align
from lwd_learner.ingest.bag_messages import RAISE_LIMIT
from lwd_learner.ingest.errors import DamagedEpisodeError
from lwd_learner.ingest.streams import StreamLimits, read_streams
from lwd_learner.replay.frames import EpisodeFrames

UNFORESEEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a malformed bag may still raise where nobody thought of it; the store's and the machine's errors are others."""


def read_manifest(
    store: Store, item: StoredObject, name: str, profile: RobotProfile, max_bytes: int
) -> EpisodeManifest:
    """The manifest of the episode `name`.

    Raises:
        DamagedEpisodeError: it is not valid, or of another episode or profile, or speaks of more than `max_bytes`.
        StoreError: the store failed.
    """
    if item.size_bytes > MAX_MANIFEST_BYTES:
        raise DamagedEpisodeError(f'a manifest of {item.size_bytes} bytes')
    try:
        manifest = EpisodeManifest.from_json(store.read_bytes(item.key))
    except ManifestError as error:
        raise DamagedEpisodeError(f'the manifest is not valid: {error}') from error
    except UNFORESEEN as error:
        raise DamagedEpisodeError(
            f'the manifest is not valid: {type(error).__name__}: {error}'
        ) from error
    if manifest.episode_id != name:
        raise DamagedEpisodeError(
            f'the manifest of {manifest.episode_id} lies in the folder of {name}'
        )
    if manifest.profile != profile.name:
        raise DamagedEpisodeError(
            f'recorded with profile {manifest.profile!r}, this replay is of {profile.name!r}'
        )
    if manifest.size_bytes > max_bytes:
        raise DamagedEpisodeError(
            f'{manifest.size_bytes} bytes, the limit is {max_bytes}; {RAISE_LIMIT}'
        )
    return manifest


def read_episode(
    store: Store,
    item: StoredObject,
    manifest: EpisodeManifest,
    profile: RobotProfile,
    limits: StreamLimits,
    config: AlignConfig,
) -> EpisodeFrames:
    """Fetch every file that the manifest lists, verify it, and make frames of the bag.

    Raises:
        DamagedEpisodeError: a file or a message is not what it should be.
        StoreError: the store failed, or this machine: a file cannot be read now, or the temporary folder is full.
    """
    folder = item.key.removesuffix(MANIFEST_NAME)
    there = {stored.key.removeprefix(folder): stored.size_bytes for stored in store.list(folder)}
    with _trouble(store), tempfile.TemporaryDirectory(prefix='lwd-ingest-') as temporary:
        bag = Path(temporary) / manifest.episode_id
        bag.mkdir()
        for file in manifest.files:
            if there.get(file.name) != file.size_bytes:
                raise DamagedEpisodeError(
                    f'{file.name} has {there.get(file.name, "no")} bytes in the store, '
                    f'the manifest says {file.size_bytes}'
                )
            _fetch(store, f'{folder}{file.name}', bag / file.name)
            if (found := sha256_of(bag / file.name)) != file.sha256:
                raise DamagedEpisodeError(
                    f'{file.name} has sha256 {found}, the manifest says {file.sha256}'
                )
        try:
            streams = read_streams(bag, manifest.robot_id, manifest.episode_id, profile, limits)
            return align(manifest, streams, profile, config)
        except UNFORESEEN as error:
            raise DamagedEpisodeError(
                f'the bag makes no sense: {type(error).__name__}: {error}'
            ) from error


@contextmanager
def _trouble(store: Store) -> Iterator[None]:
    """What the system refuses says nothing of the episode: it is the store's trouble, and passes."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f'{error}; bags are read from {store.uri}, their images wait in the folder of temporary files (TMPDIR)'
        ) from error


def _fetch(store: Store, key: str, path: Path) -> None:
    """Bring an object to `path`; one in a folder on this machine is read where it lies."""
    if isinstance(store, FolderStore):
        path.symlink_to(store.root / key)
        if not path.exists():
            raise StoreError(f'{key} of {store.uri} is gone')
    else:
        store.get_file(key, path)
