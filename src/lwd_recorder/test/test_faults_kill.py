"""SIGKILL at 200 random points: write, split, close, manifest, recovery, each step of an upload, deletion.

After each kill the same processes are started again and nothing is helped along: every message that the kernel had is
readable, and every episode is in the store exactly once.
"""

from __future__ import annotations

import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_rig.account import drain, settle
from fault_rig.kill_point import KillPoint
from fault_rig.ledger import Ledger
from fault_rig.victim import RecordPlan, UploadPlan, events, finish, start
from lwd_recorder.spool import Spool
from lwd_recorder.store import FolderStore, Store, open_store

pytestmark = [pytest.mark.faults]

FRAMES = 60
WHOLE = FRAMES + 2
EPISODES = ['a', 'b', 'after']
RECORD = {
    'Spool.open_episode': 5,
    'Session.open': 7,
    'BagWriter.write': 14,
    'HashedFile.write': 8,
    'BagWriter._split': 14,
    'McapFile.finish': 9,
    'BagWriter.sync': 3,
    'Session.close': 14,
    'EpisodeManifest.save': 9,
    'Spool.close_episode': 7,
}
RECOVER = {'Spool.recover': 4, 'recover_bag': 10, 'repair_file': 6, 'Spool.recover_episode': 5}
UPLOAD = {
    'Journal.claim': 3,
    'Spool.begin_upload': 3,
    'deliver': 6,
    'MultipartUpload.begin': 4,
    'Journal.keep_upload': 4,
    'MultipartUpload.send': 9,
    'MultipartUpload.complete': 6,
    'Journal.drop_upload': 3,
    'S3Store._put': 6,
    'S3Store.matches': 4,
    'Spool.commit': 4,
    'Journal.release': 3,
    'Owner.close': 2,
}
DELETE = {'make_room': 5, 'Spool.delete_local': 13}
ANY_TIME = 25
KILLS = sum(map(sum, (RECORD.values(), RECOVER.values(), UPLOAD.values(), DELETE.values())))


def test_the_points_are_two_hundred() -> None:
    assert KILLS + ANY_TIME >= 200


def plan(home: Path, episodes: list[str]) -> RecordPlan:
    return RecordPlan(str(home / 'spool'), str(home / 'ledger'), EPISODES, episodes, frames=FRAMES)


@pytest.fixture(scope='module')
def ram_root() -> Iterator[Path]:
    """A folder in memory: an fsync takes no time there, and what a killed process wrote stays all the same."""
    with tempfile.TemporaryDirectory(prefix='lwd-faults-', dir='/dev/shm') as root:
        yield Path(root)


@pytest.fixture
def ram(ram_root: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=ram_root) as folder:
        yield Path(folder)


@pytest.fixture(scope='module')
def counted(ram_root: Path) -> dict[str, int]:
    """Events of each step in an undisturbed run."""
    home = ram_root / 'counted'
    home.mkdir()
    return events(plan(home, ['a', 'b']), list(RECORD), home / 'record.json')


@pytest.fixture(scope='module')
def left(ram_root: Path) -> Path:
    """A spool whose recorder was killed in the middle of an episode, and its ledger."""
    home = ram_root / 'left'
    home.mkdir()
    leave_open(home)
    return home


@pytest.fixture(scope='module')
def counted_recovery(left: Path, ram_root: Path) -> dict[str, int]:
    home = ram_root / 'counted_recovery'
    shutil.copytree(left, home)
    return events(plan(home, []), list(RECOVER), home / 'recover.json')


def leave_open(home: Path) -> None:
    """Kill a recorder in the middle of its second episode."""
    process = start(plan(home, ['a', 'b']))
    ledger = Ledger(home / 'ledger', EPISODES)
    deadline_s = time.monotonic() + 30
    while ledger.flushed('b') < FRAMES // 2:
        assert time.monotonic() < deadline_s
        assert process.is_alive()
        time.sleep(0.001)
    process.kill()
    assert finish(process) == -signal.SIGKILL


def killed(process: object) -> bool:
    """Wait; whether it was killed. A process that was done before its point left in order."""
    code = finish(process)  # type: ignore[arg-type]
    assert code in (0, -signal.SIGKILL), f'exit code {code}'
    return code != 0


def come_back(home: Path, store: Store) -> None:
    """A new recorder, which records another episode, and an uploader: nobody helps."""
    assert finish(start(plan(home, ['after']))) == 0, (home / 'spool.log').read_text()
    drain(home / 'spool', store)
    found = settle(home / 'spool', store, Ledger(home / 'ledger', EPISODES), whole=WHOLE)
    assert 'after' in found


@pytest.mark.parametrize('step', RECORD)
def test_recorder_killed_in(step: str, counted: dict[str, int], ram: Path) -> None:
    dice = random.Random(step)
    kills = trial = 0
    while kills < RECORD[step]:
        home = ram / str(trial)
        home.mkdir()
        point = KillPoint(step, dice.randint(1, counted[step]))
        if killed(start(plan(home, ['a', 'b']), point)):
            kills += 1
            come_back(home, FolderStore(home / 'store'))
        trial += 1
        assert trial < 3 * RECORD[step] + 3, f'{point} is never met'
        shutil.rmtree(home)


def test_recorder_killed_at_any_time(ram: Path) -> None:
    """From outside, so inside system calls, too: a write is torn where the kernel tears it."""
    dice = random.Random(7)
    kills = trial = 0
    while kills < ANY_TIME:
        home = ram / str(trial)
        home.mkdir()
        process = start(plan(home, ['a', 'b']))
        time.sleep(dice.uniform(0.02, 0.35))
        process.kill()
        kills += killed(process)
        trial += 1
        assert trial < 4 * ANY_TIME, 'the recorder leaves before it is killed'
        if (home / 'ledger').exists():
            come_back(home, FolderStore(home / 'store'))
        shutil.rmtree(home)


@pytest.mark.parametrize('step', RECOVER)
def test_recovery_killed_in(
    step: str, left: Path, counted_recovery: dict[str, int], ram: Path
) -> None:
    """And at the next start again: recovery is taken up, not begun on its own ruins."""
    dice = random.Random(step)
    kills = trial = 0
    while kills < RECOVER[step]:
        home = ram / str(trial)
        shutil.copytree(left, home)
        hits = 0
        for _ in range(2):
            point = KillPoint(step, dice.randint(1, counted_recovery[step]))
            hits += killed(start(plan(home, []), point))
        kills += hits
        come_back(home, FolderStore(home / 'store'))
        trial += 1
        assert trial < 3 * RECOVER[step] + 3, f'{step} is never met'
        shutil.rmtree(home)


@pytest.fixture(scope='module')
def closed(ram_root: Path) -> Path:
    """A spool with one closed episode, large enough to be sent in two parts, and its ledger."""
    home = ram_root / 'closed'
    home.mkdir()
    assert finish(start(large(home, ['a']))) == 0
    return home


IMAGE_BYTES = 200_000


def large(home: Path, episodes: list[str]) -> RecordPlan:
    return RecordPlan(
        str(home / 'spool'), str(home / 'ledger'), ['a'], episodes, frames=FRAMES,
        image_bytes=IMAGE_BYTES, pace_s=0.0, config={'max_file_s': 0.0},
    )  # fmt: skip


@pytest.fixture(scope='module')
def counted_upload(closed: Path, s3_bucket: str, ram_root: Path) -> dict[str, int]:
    home = ram_root / 'counted_upload'
    shutil.copytree(closed, home)
    deliver = UploadPlan(str(home / 'spool'), f'{s3_bucket}/counted')
    return events(deliver, [*UPLOAD, *DELETE], home / 'upload.json')


@pytest.mark.parametrize('step', [*UPLOAD, *DELETE])
def test_uploader_killed_in(
    step: str, closed: Path, counted_upload: dict[str, int], s3_bucket: str, ram: Path
) -> None:
    dice = random.Random(step)
    wanted = (UPLOAD | DELETE)[step]
    kills = trial = 0
    while kills < wanted:
        home = ram / str(trial)
        shutil.copytree(closed, home)
        store = FolderStore(home / 'store')
        if step in UPLOAD:
            store = open_store(f'{s3_bucket}/{step.replace("_", "")}-{trial}')
        deliver = UploadPlan(str(home / 'spool'), store.uri)
        point = KillPoint(step, dice.randint(1, counted_upload[step]))
        kills += killed(start(deliver, point))
        assert finish(start(deliver)) == 0, (home / 'spool.log').read_text()
        ledger = Ledger(home / 'ledger', ['a'])
        found = settle(home / 'spool', store, ledger, whole=WHOLE, image_bytes=IMAGE_BYTES)
        assert list(found) == ['a']
        assert not list((home / 'spool' / 'episodes').iterdir())
        spool = Spool(home / 'spool')
        name = f'{store.uri}/{found["a"].key_prefix}/a_0.mcap'
        assert spool.uploads.upload(name) is None, 'an upload that is done is still in the journal'
        spool.close()
        trial += 1
        assert trial < 3 * wanted + 3, f'{point} is never met'
        shutil.rmtree(home)
