"""Disks that run full, turn read-only, fail, or lose what was not synced: real file systems, real processes."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from fault_rig.account import drain, settle
from fault_rig.disks import Ext4, Tmpfs
from fault_rig.ledger import Ledger
from fault_rig.victim import RecordPlan, UploadPlan, finish, start
from lwd_recorder.spool import RoomConfig, Spool, State, make_room
from lwd_recorder.store import FolderStore

pytestmark = [pytest.mark.faults]

EPISODES = ['before', 'during', 'next', 'after']
FRAMES = 120
WHOLE = FRAMES + 2
IMAGE_BYTES = 100_000


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Tmpfs]:
    disk = Tmpfs(tmp_path / 'disk', 24)
    yield disk
    disk.close()


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Ext4]:
    disk = Ext4(tmp_path / 'disk', tmp_path / 'disk.img')
    yield disk
    disk.close()


def plan(disk: Path, tmp_path: Path, episodes: list[str], **more: object) -> RecordPlan:
    return RecordPlan(
        str(disk / 'spool'), str(tmp_path / 'ledger'), EPISODES, episodes, frames=FRAMES,
        image_bytes=IMAGE_BYTES, pace_s=0.005, log=str(tmp_path / 'victim.log'), **more,
    )  # fmt: skip


def log_of(tmp_path: Path) -> str:
    return (tmp_path / 'victim.log').read_text()


def wait_for(condition: object, process: ForkServerProcess) -> None:
    deadline_s = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline_s
        assert process.is_alive()
        time.sleep(0.001)


@pytest.mark.parametrize('seed', range(4))
def test_disk_that_runs_full_in_an_episode(tmpfs: Tmpfs, tmp_path: Path, seed: int) -> None:
    """ENOSPC costs the rest of that episode. The recorder lives, and makes an episode of it once there is room."""
    ledger = Ledger(tmp_path / 'ledger', EPISODES)
    process = start(plan(tmpfs.folder, tmp_path, ['before', 'during', 'next']))
    wait_for(lambda: ledger.flushed('during') > 10 + 25 * seed, process)
    full = tmpfs.fill()
    assert finish(process) == 0, log_of(tmp_path)
    assert 'No space left' in log_of(tmp_path)
    assert ledger.closed('before')
    full.unlink()
    tmpfs.resize(96)
    assert finish(start(plan(tmpfs.folder, tmp_path, ['after']))) == 0, log_of(tmp_path)
    store = FolderStore(tmp_path / 'store')
    drain(tmpfs.folder / 'spool', store)
    found = settle(tmpfs.folder / 'spool', store, ledger, whole=WHOLE, image_bytes=IMAGE_BYTES)
    assert {'before', 'during', 'after'} <= set(found)
    assert found['during'].recovered
    assert not found['after'].recovered


def test_recorder_starts_on_a_full_disk(tmpfs: Tmpfs, tmp_path: Path) -> None:
    """With an episode that was left open: it says so, stays up, and mends it when there is room."""
    process = start(plan(tmpfs.folder, tmp_path, ['before', 'during']))
    ledger = Ledger(tmp_path / 'ledger', EPISODES)
    wait_for(lambda: ledger.flushed('during') > 60, process)
    process.kill()
    finish(process)
    full = tmpfs.fill()
    assert finish(start(plan(tmpfs.folder, tmp_path, []))) == 0
    full.unlink()
    assert finish(start(plan(tmpfs.folder, tmp_path, []))) == 0
    store = FolderStore(tmp_path / 'store')
    drain(tmpfs.folder / 'spool', store)
    found = settle(tmpfs.folder / 'spool', store, ledger, whole=WHOLE, image_bytes=IMAGE_BYTES)
    assert set(found) == {'before', 'during'}


def test_full_disk_is_emptied_by_uploading(tmpfs: Tmpfs, tmp_path: Path) -> None:
    """Not a byte is free, and episodes wait: the journal can still say that they are delivered, so room is made."""
    assert finish(start(plan(tmpfs.folder, tmp_path, ['before', 'during']))) == 0
    tmpfs.fill()
    store = FolderStore(tmp_path / 'store')
    drain(tmpfs.folder / 'spool', store)
    ledger = Ledger(tmp_path / 'ledger', EPISODES)
    found = settle(tmpfs.folder / 'spool', store, ledger, whole=WHOLE, image_bytes=IMAGE_BYTES)
    assert set(found) == {'before', 'during'}
    spool = Spool(tmpfs.folder / 'spool')
    assert spool.free_bytes() > 8 << 20
    spool.close()


def test_guard_closes_in_time_and_frees_only_what_is_delivered(
    tmpfs: Tmpfs, tmp_path: Path
) -> None:
    """With its thresholds the recorder ends the episode itself: nothing is torn and nothing is lost."""
    guarded = {'warn_free_bytes': 20 << 20, 'min_free_bytes': 8 << 20, 'last_free_bytes': 6 << 20}
    process = start(
        plan(tmpfs.folder, tmp_path, ['before', 'during', 'next', 'after'], config=guarded)
    )
    assert finish(process) == 0
    text = log_of(tmp_path)
    assert 'last_free_bytes' in text or 'min_free_bytes' in text, text
    spool = Spool(tmpfs.folder / 'spool')
    closed = [entry.episode_id for entry in spool.entries(State.CLOSED)]
    assert closed[0] == 'before'
    assert make_room(spool, RoomConfig(1 << 40, 1 << 39)).freed == ()
    assert [one.episode_id for one in spool.entries(State.CLOSED)] == closed
    spool.close()
    store = FolderStore(tmp_path / 'store')
    drain(tmpfs.folder / 'spool', store)
    ledger = Ledger(tmp_path / 'ledger', EPISODES)
    found = settle(
        tmpfs.folder / 'spool',
        store,
        ledger,
        whole=WHOLE,
        image_bytes=IMAGE_BYTES,
        cut_short=EPISODES,
    )
    assert not any(manifest.recovered for manifest in found.values())


@pytest.mark.parametrize('fault', ['turn_read_only', 'fail'])
@pytest.mark.parametrize('seed', range(6))
def test_disk_that_breaks_in_an_episode(ext4: Ext4, tmp_path: Path, fault: str, seed: int) -> None:
    """EROFS or EIO in mid-episode, unsynced bytes lost: what an fsync acknowledged is there when the disk is back."""
    dice = random.Random(f'{fault} {seed}')
    ledger = Ledger(tmp_path / 'ledger', EPISODES)
    process = start(plan(ext4.folder, tmp_path, ['before', 'during', 'next']))
    at = dice.randint(0, WHOLE - 10)
    wait_for(lambda: ledger.closed('before') and ledger.flushed('during') >= at, process)
    time.sleep(dice.uniform(0, 0.02))
    promised = {name: ledger.synced(name) for name in EPISODES}
    getattr(ext4, fault)()
    code = finish(process)
    ext4.repair()
    assert code == 0, log_of(tmp_path)
    assert finish(start(plan(ext4.folder, tmp_path, ['after']))) == 0, log_of(tmp_path)
    store = FolderStore(tmp_path / 'store')
    drain(ext4.folder / 'spool', store)
    assert promised['before'] == WHOLE
    settle(
        ext4.folder / 'spool',
        store,
        ledger,
        whole=WHOLE,
        image_bytes=IMAGE_BYTES,
        promised=promised | {'after': WHOLE},
    )


@pytest.mark.parametrize('fault', ['turn_read_only', 'fail'])
def test_disk_that_breaks_in_an_upload(ext4: Ext4, tmp_path: Path, fault: str) -> None:
    """The uploader lives; what the store has is whole, and nothing arrives twice once the disk is back."""
    assert finish(start(plan(ext4.folder, tmp_path, ['before', 'during', 'next']))) == 0
    ledger = Ledger(tmp_path / 'ledger', EPISODES)
    store = FolderStore(tmp_path / 'store')
    capped = {'max_bytes_per_s': 20e6}
    uploader = start(
        UploadPlan(
            str(ext4.folder / 'spool'), str(store.root), workers=2, options=capped,
            log=str(tmp_path / 'victim.log'),
        )
    )  # fmt: skip
    wait_for(lambda: list(store.list('robots/')), uploader)
    getattr(ext4, fault)()
    time.sleep(0.5)
    assert uploader.is_alive(), log_of(tmp_path)
    uploader.kill()
    finish(uploader)
    ext4.repair()
    drain(ext4.folder / 'spool', store)
    found = settle(ext4.folder / 'spool', store, ledger, whole=WHOLE, image_bytes=IMAGE_BYTES)
    assert set(found) == {'before', 'during', 'next'}
