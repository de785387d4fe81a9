"""Holds what came out against what was promised: every acknowledged message readable, every episode there once."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from lwd_recorder.bag import read_bag
from lwd_recorder.delivery import Uploader, UploaderConfig
from lwd_recorder.manifest import MANIFEST_NAME, EpisodeManifest
from lwd_recorder.spool import Spool, State
from lwd_recorder.store import Store

from fault_rig.frames import is_frame
from fault_rig.ledger import Ledger


def drain(spool_root: Path, store: Store, rounds: int = 40) -> None:
    """Deliver what the spool holds, in this process."""
    uploader = Uploader(
        spool_root, store, UploaderConfig(warn_free_bytes=0, min_free_bytes=0, backoff_max_s=0.1)
    )
    spool = Spool(spool_root)
    for _ in range(rounds):
        uploader.run_once()
        if not spool.entries(State.CLOSED, State.UPLOADING, State.COMMITTED):
            break
    else:
        raise AssertionError(f'not delivered: {spool.entries()}; {uploader.totals.last_error}')
    spool.close()


def delivered(store: Store) -> dict[str, EpisodeManifest]:
    """Return the manifests of a store by episode; each episode is there once, with its files and nothing else."""
    keys = [one.key for one in store.list('robots/')]
    found: dict[str, EpisodeManifest] = {}
    expected: Counter[str] = Counter()
    for key in keys:
        if key.endswith(f'/{MANIFEST_NAME}'):
            manifest = EpisodeManifest.from_json(store.read_bytes(key))
            assert manifest.episode_id not in found, f'{manifest.episode_id} is there twice'
            found[manifest.episode_id] = manifest
            expected.update(
                [key, *(f'{manifest.key_prefix}/{one.name}' for one in manifest.files)]
            )
    assert Counter(keys) == expected, 'the store holds files that no manifest lists, or lacks some'
    return found


def recorded(store: Store, manifest: EpisodeManifest, image_bytes: int) -> int:
    """Read an episode back; return how many of its first messages are there without a hole.

    Each topic is there up to some message, and right to the byte. Topics need not end together: those of another
    compression are in another chunk, and a kill may fall between the two.
    """
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home, manifest.episode_id)
        folder.mkdir()
        for file in manifest.files:
            store.get_file(f'{manifest.key_prefix}/{file.name}', folder / file.name)
        messages = list(read_bag(folder))
    return without_hole(messages, manifest.episode_id, image_bytes)


def without_hole(messages: Iterable[tuple[Any, ...]], episode_id: str, image_bytes: int) -> int:
    """Return how many of an episode's first messages are among these (topic, type, bytes, ...)."""
    began = ended = 0
    following = {'JointState': 0, 'CompressedImage': 1}
    for _, type_name, data, *_ in messages:
        kind = type_name.rpartition('/')[2]
        if kind == 'Episode':
            began, ended = 1, began
            continue
        number = following[kind]
        right = is_frame(data, episode_id, number, image_bytes)
        assert right, f'{episode_id}: frame {number} is not the one that was recorded'
        following[kind] += 2
    return began + min(following.values()) + ended


def settle(
    spool_root: Path,
    store: Store,
    ledger: Ledger,
    *,
    whole: int,
    image_bytes: int = 3000,
    promised: Mapping[str, int] | None = None,
    cut_short: Collection[str] = (),
) -> dict[str, EpisodeManifest]:
    """Check every promise of a ledger after recovery and delivery.

    Args:
        spool_root: the spool.
        store: where everything was delivered to.
        ledger: what was promised.
        whole: messages of a complete episode.
        image_bytes: of each image.
        promised: messages that must be there, by episode; None = all that the kernel was given.
        cut_short: episodes that the recorder itself may have closed before their end.
    """
    found = delivered(store)
    spool = Spool(spool_root)
    for episode_id in ledger.episodes:
        due = ledger.flushed(episode_id) if promised is None else promised[episode_id]
        entry = spool.find(episode_id)
        if episode_id not in found:
            assert due == 0, f'{episode_id}: {due} messages promised, now {entry}'
            assert entry is None or entry.state is State.QUARANTINED, f'{entry}'
            continue
        assert entry is not None
        assert entry.state is State.DELETED, f'{entry}'
        count = recorded(store, found[episode_id], image_bytes)
        assert count >= due, f'{episode_id}: {due} messages promised, {count} are there'
        if ledger.closed(episode_id) and episode_id not in cut_short:
            manifest = found[episode_id]
            assert (count, manifest.outcome, manifest.recovered) == (whole, 'success', False)
    spool.close()
    return found
