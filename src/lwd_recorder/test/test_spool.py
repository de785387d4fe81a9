"""Episodes move through the spool in one direction, and a crash at any point loses and doubles nothing."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lwd_recorder.manifest import EpisodeManifest
from lwd_recorder.spool import (
    Owner,
    Room,
    RoomConfig,
    Spool,
    SpoolError,
    State,
    make_room,
)
from lwd_recorder.spool.journal import Journal

Maker = Callable[..., EpisodeManifest]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / 'spool')
    yield spool
    spool.close()


def test_life_of_an_episode(spool: Spool, make_episode: Maker) -> None:
    folder = spool.open_episode('ep')
    assert spool.backlog() == 0
    make_episode(folder)
    spool.close_episode('ep')
    assert spool.backlog() == 1
    spool.begin_upload('ep')
    assert spool.backlog() == 1
    spool.commit('ep')
    assert spool.backlog() == 0
    assert folder.exists()
    spool.delete_local('ep')
    assert not folder.exists()
    entry = spool.find('ep')
    assert entry is not None
    assert (entry.state, entry.attempts) == (State.DELETED, 1)


def test_an_id_is_recorded_once_for_ever(spool: Spool) -> None:
    """Also after its delivery: an episode is never delivered twice."""
    spool.open_episode('ep')
    with pytest.raises(SpoolError, match='ep is in the spool already'):
        spool.open_episode('ep')
    spool.close_episode('ep')
    spool.begin_upload('ep')
    spool.commit('ep')
    spool.delete_local('ep')
    with pytest.raises(SpoolError, match='deleted'):
        spool.open_episode('ep')


@pytest.mark.parametrize(
    'step',
    [
        lambda spool: spool.begin_upload('ep'),
        lambda spool: spool.commit('ep'),
        lambda spool: spool.delete_local('ep'),
        lambda spool: spool.close_episode('other'),
    ],
)
def test_steps_that_are_not_taken_are_refused(spool: Spool, step: Callable[[Spool], None]) -> None:
    """Nothing is deleted that was not committed."""
    folder = spool.open_episode('ep')
    with pytest.raises(SpoolError, match=r'ep|other'):
        step(spool)
    assert folder.exists()


@pytest.mark.parametrize('episode_id', ['', '..', 'a/b', '.hidden', 'x' * 200, 'a b'])
def test_ids_that_leave_the_spool_are_refused(spool: Spool, episode_id: str) -> None:
    with pytest.raises(SpoolError):
        spool.open_episode(episode_id)


def test_quarantine_keeps_the_bytes_and_the_reason(spool: Spool) -> None:
    (spool.open_episode('ep') / 'data').write_text('precious')
    spool.quarantine('ep', 'chunk 3 fails its CRC')
    kept = spool.quarantine_folder('ep')
    assert (kept / 'data').read_text() == 'precious'
    assert 'chunk 3' in (kept / 'reason.txt').read_text()
    assert not spool.folder('ep').exists()


def test_entries_are_oldest_first(spool: Spool) -> None:
    for episode_id in ('c', 'a', 'b'):
        spool.open_episode(episode_id)
        spool.close_episode(episode_id)
    assert [entry.episode_id for entry in spool.entries(State.CLOSED)] == ['c', 'a', 'b']


def test_recover_delivers_what_was_whole(spool: Spool, make_episode: Maker) -> None:
    """Killed between the manifest and the journal: all of the episode is there."""
    make_episode(spool.open_episode('ep'))
    assert [entry.state for entry in spool.recover()] == [State.CLOSED]
    assert spool.recover() == []


def test_recover_sets_a_part_aside(spool: Spool, make_episode: Maker) -> None:
    folder = spool.open_episode('damaged')
    manifest = make_episode(folder)
    (folder / manifest.files[0].name).write_bytes(b'short')
    spool.open_episode('no_manifest')
    states = {entry.episode_id: entry for entry in spool.recover()}
    assert {entry.state for entry in states.values()} == {State.QUARANTINED}
    assert 'damaged_0.mcap' in states['damaged'].reason
    assert 'no manifest' in states['no_manifest'].reason


def test_recover_finishes_a_quarantine(tmp_path: Path) -> None:
    """Killed between the journal and the move of the folder."""
    spool = Spool(tmp_path)
    folder = spool.open_episode('ep')
    (folder / 'data').write_text('precious')
    spool.quarantine('ep', 'why')
    spool.quarantine_folder('ep').rename(folder)
    (folder / 'reason.txt').unlink()
    spool.recover()
    assert (spool.quarantine_folder('ep') / 'data').read_text() == 'precious'
    assert (spool.quarantine_folder('ep') / 'reason.txt').read_text() == 'why\n'
    spool.close()


def test_many_may_make_the_journal_at_once(tmp_path: Path) -> None:
    """Recorder and uploader of a new robot start together: neither finds the other's new file locked."""
    failed: list[SpoolError] = []
    for round_ in range(40):
        folder = tmp_path / str(round_)
        folder.mkdir()
        together = threading.Barrier(6)

        def make(path: Path = folder / 'journal.sqlite', go: threading.Barrier = together) -> None:
            go.wait()
            try:
                Journal(path).close()
            except SpoolError as error:
                failed.append(error)

        threads = [threading.Thread(target=make) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failed


def test_two_processes_share_the_journal(tmp_path: Path) -> None:
    """Recorder and uploader write at once; no step is lost."""

    def add(name: str) -> None:
        spool = Spool(tmp_path)
        for i in range(20):
            spool.open_episode(f'{name}{i}')
            spool.close_episode(f'{name}{i}')
        spool.close()

    threads = [threading.Thread(target=add, args=(name,)) for name in 'abc']
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spool = Spool(tmp_path)
    assert spool.backlog() == 60
    spool.close()


def test_a_journal_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / 'journal.sqlite').write_bytes(b'this is no database, not even nearly one' * 100)
    with pytest.raises(SpoolError, match=r'journal\.sqlite'):
        Spool(tmp_path)


_RECORD = """
import sys, time
from lwd_recorder.bag import BagWriter
from lwd_recorder.spool import Spool

spool = Spool(sys.argv[1])
bag = BagWriter(spool.open_episode('ep'), chunk_size_bytes=256)
for i in range(1_000_000):
    bag.write('/a', 'std_msgs/msg/Header', bytes(40), i)
    if i == 200:
        print('recording', flush=True)
"""


def test_killed_recorder_leaves_no_episode(tmp_path: Path) -> None:
    """kill -9 of a real process in mid-episode: the rest is kept aside, named, and never delivered."""
    recorder = subprocess.Popen(
        [sys.executable, '-c', _RECORD, str(tmp_path)], stdout=subprocess.PIPE, env=os.environ
    )
    assert recorder.stdout is not None
    assert recorder.stdout.readline() == b'recording\n'
    recorder.send_signal(signal.SIGKILL)
    recorder.wait()
    recorder.stdout.close()

    spool = Spool(tmp_path)
    [entry] = spool.recover()
    assert entry.state is State.QUARANTINED
    assert 'killed' in entry.reason
    assert spool.backlog() == 0
    assert (spool.quarantine_folder('ep') / 'ep_0.mcap').stat().st_size > 0
    with pytest.raises(SpoolError, match='quarantined'):
        spool.open_episode('ep')
    spool.close()


def test_failures_and_takeovers_of_the_policy_are_urgent(
    spool: Spool, make_episode: Maker
) -> None:
    """A demonstration is a human's from its first tick: nobody took over from anybody."""
    facts = {
        'plain': {},
        'failure': {'outcome': 'failure'},
        'human': {'takeovers': 2},
        'demonstration': {'kind': 'demonstration', 'takeovers': 1},
        'play': {'kind': 'play', 'takeovers': 1, 'outcome': 'failure'},
    }
    for episode_id, values in facts.items():
        make_episode(spool.open_episode(episode_id), **values)
        spool.close_episode(episode_id)
    assert {entry.episode_id: entry.urgent for entry in spool.entries()} == {
        'plain': False,
        'failure': True,
        'human': True,
        'demonstration': False,
        'play': False,
    }


def test_a_claim_is_one_owners_until_it_lets_go(spool: Spool) -> None:
    spool.open_episode('ep')
    one, other = Owner(spool.owners), Owner(spool.owners)
    assert spool.claim('ep', one) is not None
    assert spool.claim('ep', one) is not None
    assert spool.claim('ep', other) is None
    spool.release('ep', other)
    assert spool.claim('ep', other) is None
    spool.release('ep', one)
    assert spool.claim('ep', other) is not None
    other.close()
    assert spool.claim('ep', one) is not None
    one.close()
    assert list(spool.owners.iterdir()) == []


_CLAIM = """
import sys, time
from lwd_recorder.spool import Owner, Spool

spool = Spool(sys.argv[1])
owner = Owner(spool.owners)
assert spool.claim('ep', owner)
print('claimed', flush=True)
time.sleep(60)
"""


def test_claim_of_a_killed_process_is_free(spool: Spool) -> None:
    """At once, without a time-out that a clock could get wrong."""
    spool.open_episode('ep')
    process = subprocess.Popen(
        [sys.executable, '-c', _CLAIM, str(spool.root)], stdout=subprocess.PIPE, env=os.environ
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b'claimed\n'
    owner = Owner(spool.owners)
    assert spool.claim('ep', owner) is None
    process.kill()
    process.wait()
    process.stdout.close()
    assert spool.claim('ep', owner) is not None
    owner.close()


def test_room_is_made_from_delivered_episodes_only_oldest_first(
    spool: Spool, make_episode: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f'e{i}' for i in range(6)]
    for name in names:
        make_episode(spool.open_episode(name))
        spool.close_episode(name)
    for name in names[:4]:
        spool.begin_upload(name)
        spool.commit(name)
    free = [10_000]
    monkeypatch.setattr(spool, 'free_bytes', lambda: free[0])
    config = RoomConfig(warn_free_bytes=5000, min_free_bytes=1000, keep_committed=3)
    assert make_room(spool, config) == Room(10_000, 'ok', '', ('e0',))
    free[0] = 3000
    room = make_room(spool, config)
    assert room.freed == ('e1', 'e2', 'e3')
    assert room.level == 'warn'
    assert '2 episodes wait' in room.text
    free[0] = 900
    room = make_room(spool, config)
    assert (room.level, room.freed) == ('full', ())
    assert 'min_free_bytes' in room.text
    assert {entry.episode_id for entry in spool.entries(State.CLOSED)} == {'e4', 'e5'}
    assert spool.folder('e4').exists()


def test_journal_of_the_first_version_is_read(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / 'journal.sqlite')
    database.execute(
        'CREATE TABLE episodes (episode_id TEXT PRIMARY KEY, state TEXT NOT NULL, '
        "reason TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0, "
        'opened_wall_s REAL NOT NULL, changed_wall_s REAL NOT NULL) STRICT'
    )
    database.execute("INSERT INTO episodes VALUES ('old', 'closed', '', 2, 1.0, 2.0)")
    database.commit()
    database.close()
    spool = Spool(tmp_path)
    [entry] = spool.entries()
    assert (entry.episode_id, entry.state, entry.attempts) == ('old', State.CLOSED, 2)
    assert (entry.profile, entry.urgent, entry.claimed_by) == ('', False, '')
    spool.uploads.keep_upload('s3://b/k', 'id', 5)
    assert spool.uploads.upload('s3://b/k') == ('id', 5)
    spool.uploads.drop_upload('s3://b/k')
    assert spool.uploads.upload('s3://b/k') is None
    spool.close()


def test_journal_of_a_later_version_is_refused(tmp_path: Path) -> None:
    Spool(tmp_path).close()
    database = sqlite3.connect(tmp_path / 'journal.sqlite')
    database.execute('PRAGMA user_version = 99')
    database.close()
    with pytest.raises(SpoolError, match='later version'):
        Spool(tmp_path)


def test_the_journals_room_is_taken_again_when_there_is_room_again(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given up on a full disk, it is there for the next full disk, too, with no start in between."""
    path, usage = spool.root / 'reserve', shutil.disk_usage(spool.root)
    assert path.stat().st_size == 4 << 20
    free = {'bytes': 1000}
    monkeypatch.setattr(shutil, 'disk_usage', lambda folder: usage._replace(free=free['bytes']))
    spool.open_episode('a')
    assert not path.exists()
    free['bytes'] = 5 << 20  # little more than it was: it would be given up at once
    spool.open_episode('b')
    assert not path.exists()
    path.touch()  # a disk that refused in the middle
    free['bytes'] = 64 << 20
    spool.open_episode('c')
    assert path.stat().st_size == 4 << 20
