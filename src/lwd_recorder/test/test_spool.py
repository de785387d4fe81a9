"""Episodes move through the spool in one direction, and a crash at any point loses and doubles nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lwd_recorder.manifest import EpisodeManifest
from lwd_recorder.spool import Spool, SpoolError, State

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
