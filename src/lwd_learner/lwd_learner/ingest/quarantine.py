"""Moves refused episodes aside in the store. Nothing is deleted, and the reason lies beside the files."""

from __future__ import annotations

from lwd_recorder.store import Store

REASON_NAME = 'reason.txt'
FOLDER = 'quarantine'


def quarantine(store: Store, manifest_key: str, name: str, reason: str) -> None:
    """Move an episode's objects under `quarantine/<name>/`, its manifest last.

    Interrupted anywhere, the manifest is still where it was and the next call goes on; a reason once written stays.

    Raises:
        StoreError: the store failed; call again.
    """
    target = f'{FOLDER}/{name}'
    if not store.exists(f'{target}/{REASON_NAME}'):
        store.put_bytes(f'{reason}\n'.encode(), f'{target}/{REASON_NAME}')
    folder, _, _ = manifest_key.rpartition('/')
    keys = [manifest_key]
    if (
        folder.count('/') >= 4
    ):  # robots/<robot>/episodes/<date>/<episode>: never move a whole robot
        keys = sorted(
            (item.key for item in store.list(f'{folder}/')),
            key=lambda key: (key == manifest_key, key),
        )
    for key in keys:
        store.move(key, _free(store, target, key.removeprefix(f'{folder}/')))


def _free(store: Store, target: str, name: str) -> str:
    key, copy = f'{target}/{name}', 1
    while store.exists(key):
        copy += 1
        key = f'{target}/delivery_{copy}/{name}'
    return key
