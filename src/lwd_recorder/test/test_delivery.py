"""Every closed episode reaches the store exactly once, whatever interrupts the way."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fault_rig.faulty_proxy import proxied
from lwd_recorder.bag import read_bag
from lwd_recorder.delivery import ConflictError, Uploader, UploaderConfig, deliver
from lwd_recorder.manifest import EpisodeManifest, ManifestError
from lwd_recorder.spool import Spool, State
from lwd_recorder.store import (
    ExistsError,
    FolderStore,
    IntegrityError,
    Store,
    StoreError,
    open_store,
)

Maker = Callable[..., EpisodeManifest]


@pytest.fixture(params=['folder', 's3'])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == 'folder':
        return open_store(str(tmp_path / 'store'))
    return open_store(f'{request.getfixturevalue("s3_bucket")}/{tmp_path.name}')


def spool_with(tmp_path: Path, make_episode: Maker, *episode_ids: str) -> Spool:
    spool = Spool(tmp_path / 'spool')
    for episode_id in episode_ids:
        make_episode(spool.open_episode(episode_id))
        spool.close_episode(episode_id)
    return spool


def delivered(store: Store) -> list[str]:
    return sorted(
        EpisodeManifest.from_json(store.read_bytes(one.key)).episode_id
        for one in store.list('robots/')
        if one.key.endswith('/manifest.json')
    )


def test_delivered_episode_is_whole(store: Store, tmp_path: Path, make_episode: Maker) -> None:
    """What arrives is a bag that reads like the one that left, under its immutable key."""
    manifest = make_episode(tmp_path / 'ep')
    delivery = deliver(store, tmp_path / 'ep', wall_s=lambda: 123.0)
    assert delivery.manifest == replace(manifest, committed_wall_s=123.0)
    assert delivery.sent_bytes == manifest.size_bytes
    back = tmp_path / 'back' / 'ep'
    back.mkdir(parents=True)
    for file in manifest.files:
        store.get_file(f'{manifest.key_prefix}/{file.name}', back / file.name)
    assert list(read_bag(back)) == list(read_bag(tmp_path / 'ep'))


def test_delivery_is_idempotent(store: Store, tmp_path: Path, make_episode: Maker) -> None:
    make_episode(tmp_path / 'ep')
    first = deliver(store, tmp_path / 'ep', wall_s=lambda: 123.0)
    again = deliver(store, tmp_path / 'ep', wall_s=lambda: 456.0)
    assert again.already
    assert again.sent_bytes == 0
    assert again.manifest == first.manifest


def test_other_bytes_under_the_same_id_are_a_conflict(
    store: Store, tmp_path: Path, make_episode: Maker
) -> None:
    manifest = make_episode(tmp_path / 'ep')
    deliver(store, tmp_path / 'ep')
    (tmp_path / 'ep' / 'extra.txt').write_text('more')
    digest = '4' * 64
    replace(manifest, files=(*manifest.files[:1], replace(manifest.files[1], sha256=digest))).save(
        tmp_path / 'ep'
    )
    with pytest.raises(ConflictError, match='other files or hashes'):
        deliver(store, tmp_path / 'ep')


def test_damaged_local_file_is_not_sent(store: Store, tmp_path: Path, make_episode: Maker) -> None:
    make_episode(tmp_path / 'ep')
    path = tmp_path / 'ep' / 'ep_0.mcap'
    path.write_bytes(path.read_bytes()[:-1] + b'x')
    with pytest.raises(IntegrityError, match=r'ep_0\.mcap'):
        deliver(store, tmp_path / 'ep')
    assert delivered(store) == []


def test_missing_local_file_is_named(tmp_path: Path, make_episode: Maker) -> None:
    make_episode(tmp_path / 'ep')
    (tmp_path / 'ep' / 'ep_0.mcap').unlink()
    with pytest.raises(ManifestError, match=r'ep_0\.mcap'):
        deliver(FolderStore(tmp_path / 'store'), tmp_path / 'ep')


def test_uploader_empties_the_spool(store: Store, tmp_path: Path, make_episode: Maker) -> None:
    """Committed first, then deleted locally."""
    spool = spool_with(tmp_path, make_episode, 'a', 'b', 'c')
    Uploader(spool.root, store).run_once()
    assert delivered(store) == ['a', 'b', 'c']
    assert [entry.state for entry in spool.entries()] == [State.DELETED] * 3
    assert not any((spool.root / 'episodes').iterdir())
    spool.close()


def test_keep_committed_keeps(tmp_path: Path, make_episode: Maker) -> None:
    spool = spool_with(tmp_path, make_episode, 'a')
    store = FolderStore(tmp_path / 'store')
    Uploader(spool.root, store, UploaderConfig(keep_committed=1)).run_once()
    assert [entry.state for entry in spool.entries()] == [State.COMMITTED]
    assert (spool.folder('a') / 'manifest.json').exists()
    spool.close()


def test_a_local_copy_that_cannot_be_removed_stops_nothing(
    tmp_path: Path, make_episode: Maker
) -> None:
    """A person moved a delivered one to another disk and left a link: it is named once, and the rest goes on."""
    spool = spool_with(tmp_path, make_episode, 'a', 'b', 'c')
    spool.begin_upload('a')
    spool.commit('a')
    spool.folder('a').rename(tmp_path / 'moved')
    spool.folder('a').symlink_to(tmp_path / 'moved')
    store = FolderStore(tmp_path / 'store')
    said: list[tuple[str, str]] = []
    uploader = Uploader(
        spool.root,
        store,
        UploaderConfig(poll_s=0.005, concurrency=1),
        lambda level, text: said.append((level, text)),
    )
    thread = threading.Thread(target=uploader.run)
    thread.start()
    try:
        deadline_s = time.monotonic() + 10
        while spool.find('c').state is not State.DELETED:
            assert time.monotonic() < deadline_s, said[:3]
            time.sleep(0.01)
    finally:
        uploader.stop()
        thread.join(10)
    assert delivered(store) == ['b', 'c']
    assert spool.find('a').state is State.COMMITTED
    assert uploader.totals.failures == 0
    assert [level for level, _ in said] == ['warn', 'info', 'info']
    assert str(spool.folder('a')) in said[0][1]
    assert uploader.totals.room.level == 'warn'
    assert (tmp_path / 'moved' / 'manifest.json').exists()
    spool.folder('a').unlink()
    uploader.run_once()
    assert spool.find('a').state is State.DELETED
    assert uploader.totals.room.level == 'ok'
    spool.close()


def test_conflict_is_quarantined_and_the_rest_goes_on(tmp_path: Path, make_episode: Maker) -> None:
    store = FolderStore(tmp_path / 'store')
    make_episode(tmp_path / 'other' / 'a', robot_id='g1_01')
    deliver(store, tmp_path / 'other' / 'a')
    spool = spool_with(tmp_path, make_episode, 'a', 'b')
    folder = spool.folder('a')
    manifest = EpisodeManifest.load(folder)
    replace(manifest, files=manifest.files[:1]).save(folder)
    uploader = Uploader(spool.root, store)
    uploader.run_once()
    states = {entry.episode_id: entry for entry in spool.entries()}
    assert states['a'].state is State.QUARANTINED
    assert 'other files or hashes' in states['a'].reason
    assert states['b'].state is State.DELETED
    assert uploader.totals.quarantined == 1
    spool.close()


def test_a_manifest_that_cannot_be_read_now_is_tried_later(
    tmp_path: Path, make_episode: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file descriptor left, a disk that stumbles: that says nothing of the episode."""
    store = FolderStore(tmp_path / 'store')
    spool = spool_with(tmp_path, make_episode, 'a')
    uploader = Uploader(spool.root, store)

    def refuse(path: Path) -> bytes:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    with monkeypatch.context() as context:
        context.setattr(Path, 'read_bytes', refuse)
        uploader.run_once()
    [entry] = spool.entries()
    assert entry.state is State.UPLOADING
    assert 'Too many open files' in entry.reason
    assert (uploader.totals.failures, uploader.totals.quarantined) == (1, 0)
    assert not spool.quarantine_folder('a').exists()
    uploader.run_once()
    assert delivered(store) == ['a']
    spool.close()


class _Flaky(FolderStore):
    """Refuses the first puts."""

    def __init__(self, root: Path, failures: int) -> None:
        super().__init__(root)
        self.left = failures
        self.times: list[float] = []

    def put_file(self, path: Path, key: str, sha256: str, *more: Any) -> int:
        self.times.append(time.monotonic())
        if self.left > 0:
            self.left -= 1
            raise StoreError('503 slow down')
        return super().put_file(path, key, sha256, *more)


def test_store_that_is_down_is_tried_again_less_and_less(
    tmp_path: Path, make_episode: Maker
) -> None:
    spool = spool_with(tmp_path, make_episode, 'a')
    store = _Flaky(tmp_path / 'store', failures=4)
    done = threading.Event()
    texts: list[str] = []

    def log(level: str, text: str) -> None:
        texts.append(text)
        if 'committed' in text:
            done.set()

    config = UploaderConfig(poll_s=0.005, backoff_min_s=0.05, backoff_max_s=0.3, concurrency=1)
    uploader = Uploader(spool.root, store, config, log)
    thread = threading.Thread(target=uploader.run)
    thread.start()
    assert done.wait(20), texts
    uploader.stop()
    thread.join(10)
    assert delivered(store) == ['a']
    pauses = [b - a for a, b in zip(store.times, store.times[1:], strict=False)][:4]
    assert pauses[0] >= 0.025
    assert pauses[3] >= 0.15
    assert uploader.totals.failures == 4
    assert '503 slow down' in texts[0]
    spool.close()


def test_two_workers_send_each_episode_once(tmp_path: Path, make_episode: Maker) -> None:
    names = [f'e{i:02d}' for i in range(12)]
    spool = spool_with(tmp_path, make_episode, *names)
    store = _Flaky(tmp_path / 'store', failures=0)
    uploader = Uploader(spool.root, store, UploaderConfig(poll_s=0.005, concurrency=3))
    thread = threading.Thread(target=uploader.run)
    thread.start()
    deadline_s = time.monotonic() + 30
    while spool.entries(State.CLOSED, State.UPLOADING, State.COMMITTED):
        assert time.monotonic() < deadline_s, spool.entries()
        time.sleep(0.01)
    uploader.stop()
    thread.join(10)
    assert delivered(store) == names
    assert len(store.times) == 2 * len(names)
    assert uploader.totals.committed == len(names)
    spool.close()


_UPLOAD = """
import sys, time
from lwd_recorder.delivery import Uploader
from lwd_recorder.store import open_store

store = open_store(sys.argv[2])
stop_at = int(sys.argv[3])
calls = 0

def gate():
    global calls
    calls += 1
    if calls == stop_at:
        print('here', flush=True)
        time.sleep(60)

def gated(call):
    def run(*arguments, **named):
        result = call(*arguments, **named)
        gate()
        return result
    return run

store.put_file, store.put_bytes = gated(store.put_file), gated(store.put_bytes)
Uploader(sys.argv[1], store).run_once()
"""


@pytest.mark.parametrize('stop_at', [1, 2, 3])
def test_killed_uploader_goes_on(
    store: Store, tmp_path: Path, make_episode: Maker, stop_at: int
) -> None:
    """kill -9 after the first file, after the last one, and after the manifest but before the journal."""
    spool = spool_with(tmp_path, make_episode, 'a', 'b')
    uploader = subprocess.Popen(
        [sys.executable, '-c', _UPLOAD, str(spool.root), store.uri, str(stop_at)],
        stdout=subprocess.PIPE,
        env=os.environ,
    )
    assert uploader.stdout is not None
    assert uploader.stdout.readline() == b'here\n'
    uploader.send_signal(signal.SIGKILL)
    uploader.wait()
    uploader.stdout.close()
    assert delivered(store) == (['a'] if stop_at == 3 else [])
    assert spool.backlog() == 2

    again = Uploader(spool.root, store)
    again.run_once()
    assert delivered(store) == ['a', 'b']
    assert [entry.state for entry in spool.entries()] == [State.DELETED] * 2
    assert again.totals.already == (1 if stop_at == 3 else 0)
    assert len(list(store.list('robots/'))) == 6
    spool.close()


def test_robot_that_may_not_list_delivers(
    s3_bucket: str, tmp_path: Path, make_episode: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS then says 403 for what is not there: the policy in docs/recording.md needs no s3:ListBucket."""
    make_episode(tmp_path / 'ep')
    with proxied(os.environ['AWS_ENDPOINT_URL']) as proxy:
        monkeypatch.setenv('AWS_ENDPOINT_URL', proxy.url)
        proxy.hides_missing = True
        store = open_store(f'{s3_bucket}/{tmp_path.name}')
        assert not deliver(store, tmp_path / 'ep').already
        assert deliver(store, tmp_path / 'ep').already
        assert delivered(store) == ['ep']


def test_urgent_episodes_go_first(tmp_path: Path, make_episode: Maker) -> None:
    spool = Spool(tmp_path / 'spool')
    facts = {'a': {}, 'b': {'outcome': 'failure'}, 'c': {}, 'd': {'takeovers': 1}}
    for episode_id, values in facts.items():
        make_episode(spool.open_episode(episode_id), **values)
        spool.close_episode(episode_id)
    said: list[str] = []
    store = FolderStore(tmp_path / 'store')
    Uploader(spool.root, store, log=lambda level, text: said.append(text.split()[1])).run_once()
    assert said == ['b', 'd', 'a', 'c']
    spool.close()


def test_duplicate_id_of_another_robot_never_replaces_the_first(
    store: Store, tmp_path: Path, make_episode: Maker
) -> None:
    """Also when only files, and no manifest yet, are in the store: keys are immutable."""
    first = make_episode(tmp_path / 'one' / 'ep')
    name = first.files[0].name
    store.put_file(
        tmp_path / 'one' / 'ep' / name, f'{first.key_prefix}/{name}', first.files[0].sha256
    )
    folder = tmp_path / 'two' / 'ep'
    make_episode(folder)
    (folder / name).write_bytes(b'other bytes')
    record = replace(
        first.files[0], size_bytes=11, sha256=hashlib.sha256(b'other bytes').hexdigest()
    )
    replace(first, files=(record, *first.files[1:])).save(folder)
    with pytest.raises(ConflictError, match='immutable'):
        deliver(store, folder)
    assert deliver(store, tmp_path / 'one' / 'ep').manifest.files == first.files


def test_a_write_under_way_elsewhere_is_waited_for(tmp_path: Path, make_episode: Maker) -> None:
    """S3 answers so (409) while it is still busy with a first attempt that was given up: no other episode's file."""

    class Busy(FolderStore):
        first = True

        def put_file(self, *arguments: Any) -> int:
            if self.first:
                self.first = False
                raise ExistsError('a conflicting conditional operation is in progress')
            return super().put_file(*arguments)

    make_episode(tmp_path / 'ep')
    store = Busy(tmp_path / 'store')
    with pytest.raises(ExistsError):
        deliver(store, tmp_path / 'ep')
    assert deliver(store, tmp_path / 'ep').manifest.files


def test_store_that_is_back_ends_every_pause(tmp_path: Path, make_episode: Maker) -> None:
    """A pause may be an hour long; the first success shows that it need not be."""
    names = [f'e{i}' for i in range(4)]
    spool = spool_with(tmp_path, make_episode, *names)
    store = _Flaky(tmp_path / 'store', failures=3)
    config = UploaderConfig(poll_s=0.005, backoff_min_s=3600.0, concurrency=1)
    uploader = Uploader(spool.root, store, config)
    thread = threading.Thread(target=uploader.run)
    thread.start()
    deadline_s = time.monotonic() + 30
    while spool.entries(State.CLOSED, State.UPLOADING):
        assert time.monotonic() < deadline_s, spool.entries()
        time.sleep(0.01)
    uploader.stop()
    thread.join(10)
    assert delivered(store) == names
    spool.close()


def test_stopped_uploader_leaves_a_large_upload_to_be_gone_on_with(
    tmp_path: Path, make_episode: Maker
) -> None:
    spool = spool_with(tmp_path, make_episode, 'a')
    store = FolderStore(tmp_path / 'store')
    uploader = Uploader(spool.root, store)
    uploader.stop()
    uploader.run_once()
    [entry] = spool.entries()
    assert (entry.state, entry.claimed_by) == (State.UPLOADING, '')
    assert uploader.totals.failures == 0
    assert delivered(store) == []
    Uploader(spool.root, store).run_once()
    assert delivered(store) == ['a']
    spool.close()
