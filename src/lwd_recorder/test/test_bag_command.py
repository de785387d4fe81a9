"""`bag` tells what is on a disk and mends, judges and delivers it, for people and for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lwd_recorder.bag import BagWriter, bag_topics, read_bag
from lwd_recorder.command import ls, verify
from lwd_recorder.command.bag import main
from lwd_recorder.command.places import bag_folders
from lwd_recorder.delivery import Uploader
from lwd_recorder.manifest import EpisodeManifest
from lwd_recorder.recording import recovery
from lwd_recorder.recording.recovery import recover_bag
from lwd_recorder.spool import Owner, RecorderLock, Spool, State
from lwd_recorder.store import FolderStore

Maker = Callable[..., EpisodeManifest]

JOINT_STATE = 'sensor_msgs/msg/JointState'
EPISODE = 'lwd_msgs/msg/Episode'


def test_verify_finds_the_damaged_one(
    tmp_path: Path, make_episode: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    make_episode(tmp_path / 'good')
    make_episode(tmp_path / 'bad')
    path = tmp_path / 'bad' / 'bad_0.mcap'
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    assert main(['verify', str(tmp_path), '--json']) == 1
    results = {Path(one['path']).name: one for one in json.loads(capsys.readouterr().out)}
    assert results['good']['ok']
    assert 'bad_0.mcap' in results['bad']['damage']
    assert main(['verify', str(tmp_path / 'good')]) == 0
    assert main(['verify', str(tmp_path / 'nothing')]) == 1


def test_ls_names_every_episode(
    tmp_path: Path, make_episode: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    make_episode(tmp_path / 'a')
    make_episode(tmp_path / 'deep' / 'b', outcome='failure')
    (tmp_path / 'c').mkdir()
    (tmp_path / 'c' / 'c_0.mcap').write_bytes(b'')
    assert main(['ls', str(tmp_path), '--json']) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(one['episode_id'], one['outcome'], one['messages']) for one in rows] == [
        ('a', 'success', 60),
        ('c', 'DAMAGED', 0),
        ('b', 'failure', 60),
    ]
    assert main(['ls', str(tmp_path)]) == 0
    assert '3 episodes' in capsys.readouterr().out


def test_show_prints_facts_and_topics(
    tmp_path: Path, make_episode: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    make_episode(tmp_path / 'a')
    assert main(['show', str(tmp_path / 'a')]) == 0
    text = capsys.readouterr().out
    assert 'put the red can' in text
    assert '30.30 Hz' in text
    assert main(['show', str(tmp_path / 'a'), '--json']) == 0
    document = json.loads(capsys.readouterr().out)
    assert document['manifest']['episode_id'] == 'a'
    assert main(['show', str(tmp_path / 'nothing')]) == 1
    assert 'never closed' in capsys.readouterr().err


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / 'spool')
    yield spool
    spool.close()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a verb with --json; returns the exit code and what it said."""

    def call(*arguments: object) -> tuple[int, Any]:
        code = main([*map(str, arguments), '--json'])
        return code, json.loads(capsys.readouterr().out)

    return call


def closed(spool: Spool, make_episode: Maker, episode_id: str, **facts: Any) -> Path:
    folder = spool.open_episode(episode_id)
    make_episode(folder, **facts)
    spool.close_episode(episode_id)
    return folder


def test_ls_of_a_spool_names_states(spool: Spool, make_episode: Maker, run: Any) -> None:
    """An episode that is being recorded is no damage."""
    closed(spool, make_episode, 'a')
    bag = BagWriter(spool.open_episode('b'))
    code, rows = run('ls', spool.root)
    bag.abandon()
    assert code == 0
    assert [(one['episode_id'], one['state'], one['damage']) for one in rows] == [
        ('a', 'closed', None), ('b', 'open', None)
    ]  # fmt: skip
    assert run('ls', spool.root / 'nothing')[0] == 1


def test_what_goes_meanwhile_is_passed_over(
    spool: Spool, tmp_path: Path, make_episode: Maker, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The uploader delivers and removes an episode after it was found, or while it is looked at."""
    for name in 'abc':
        closed(spool, make_episode, name)
    uploader = Uploader(spool.root, FolderStore(tmp_path / 'store'))

    def found(path: Path) -> Iterator[Path]:
        for folder in bag_folders(path):
            if folder.name == 'b':
                uploader.run_once(['b'])
            yield folder

    def topics(folder: Path) -> Any:
        if folder.name == 'c':
            uploader.run_once(['c'])
        return bag_topics(folder)

    monkeypatch.setattr(ls, 'bag_topics', topics)
    monkeypatch.setattr(ls, 'bag_folders', found)
    code, rows = run('ls', spool.root)
    assert (code, [one['episode_id'] for one in rows]) == (0, ['a'])

    closed(spool, make_episode, 'd')
    monkeypatch.setattr(
        verify, 'bag_folders', lambda path: [*bag_folders(path), spool.folder('b')]
    )
    code, rows = run('verify', spool.root)
    assert (code, [Path(one['path']).name for one in rows]) == (0, ['a', 'd'])


def test_label_is_durable_and_is_what_arrives(
    spool: Spool, tmp_path: Path, make_episode: Maker, run: Any
) -> None:
    """Who, when and what it was are in the notes; a failure goes first from now on."""
    folder = closed(spool, make_episode, 'a')
    code, said = run('label', folder, 'failure', '--by', 'anna', '--why', 'it fell later')
    assert (code, said['was'], said['outcome']) == (0, 'success', 'failure')
    manifest = EpisodeManifest.load(folder)
    assert manifest.outcome == 'failure'
    assert manifest.notes[-1].startswith('outcome success -> failure by anna at 2')
    assert manifest.notes[-1].endswith(': it fell later')
    entry = spool.find('a')
    assert entry is not None
    assert entry.urgent
    store = FolderStore(tmp_path / 'store')
    Uploader(spool.root, store).run_once()
    [key] = [one.key for one in store.list('robots/') if one.key.endswith('manifest.json')]
    assert EpisodeManifest.from_json(store.read_bytes(key)).outcome == 'failure'


def test_label_survives_a_later_repair(spool: Spool, make_episode: Maker, run: Any) -> None:
    folder = closed(spool, make_episode, 'a')
    run('label', folder, 'failure', '--by', 'anna')
    path = folder / 'a_0.mcap'
    path.write_bytes(path.read_bytes()[:-30])
    code, said = run('repair', folder)
    assert code == 0, said
    manifest = EpisodeManifest.load(folder)
    assert (manifest.outcome, manifest.recovered) == ('failure', True)
    assert 'by anna' in manifest.notes[0]


def test_label_of_what_is_under_way_or_delivered_is_refused(
    spool: Spool, tmp_path: Path, make_episode: Maker, run: Any
) -> None:
    folder = closed(spool, make_episode, 'a')
    owner = Owner(spool.owners)
    spool.claim('a', owner)
    code, said = run('label', folder, 'failure')
    assert (code, EpisodeManifest.load(folder).outcome) == (1, 'success')
    assert 'being uploaded right now' in said['error']
    spool.release('a', owner)
    owner.close()
    recording = spool.open_episode('b')
    code, said = run('label', recording, 'failure')
    assert (code, 'is open' in said['error']) == (1, True)
    Uploader(spool.root, FolderStore(tmp_path / 'store')).run_once()
    code, said = run('label', folder, 'failure')
    assert (code, 'replay relabel' in said['error']) == (1, True)
    [stored] = (tmp_path / 'store' / 'robots').rglob('manifest.json')
    code, said = run('label', stored.parent, 'failure')
    assert (code, 'in a store' in said['error']) == (1, True)


def test_verdict_that_came_too_late_is_said(
    spool: Spool, tmp_path: Path, make_episode: Maker, run: Any
) -> None:
    """The uploader was killed between the store's manifest and its journal: the store's verdict stands, and says so."""
    folder = closed(spool, make_episode, 'a')
    store = FolderStore(tmp_path / 'store')
    manifest = EpisodeManifest.load(folder)
    for file in manifest.files:
        store.put_file(folder / file.name, f'{manifest.key_prefix}/{file.name}', file.sha256)
    store.put_bytes(manifest.to_json().encode(), f'{manifest.key_prefix}/manifest.json')
    assert run('label', folder, 'failure')[0] == 0
    said: list[tuple[str, str]] = []
    Uploader(spool.root, store, log=lambda level, text: said.append((level, text))).run_once()
    assert any(level == 'warn' and 'changed to failure' in text for level, text in said)


def test_repair_takes_back_what_is_quarantined(
    spool: Spool, messages: Any, make_episode: Maker, run: Any
) -> None:
    folder = closed(spool, make_episode, 'a')
    path = folder / 'a_0.mcap'
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    spool.quarantine('a', 'a person found it odd')
    code, said = run('repair', spool.quarantine_folder('a'))
    assert (code, said['repaired']) == (0, True)
    assert said['lost']['bytes'] > 0
    entry = spool.find('a')
    assert entry is not None
    assert entry.state is State.CLOSED
    assert 0 < len(list(read_bag(folder))) < 60
    code, said = run('repair', folder)
    assert (code, said['repaired']) == (0, False)


def closed_in_error(folder: Path, messages: Any) -> None:
    """Write a bag that says itself which episode it is, and a manifest that says nothing."""
    with BagWriter(folder) as bag:
        for second in range(1, 30):
            data = messages.joint_state(second * 10**9)
            bag.write('/g1_01/joint_states', JOINT_STATE, data, second * 10**9)
        said = messages.episode(folder.name, 10**9, 20 * 10**9, outcome=2)
        bag.write('/g1_01/episode', EPISODE, said, 20 * 10**9)
        bag.close()
    (folder / 'manifest.json').write_bytes(bytes(3000))


def test_repair_makes_a_damaged_manifest_anew(
    spool: Spool, tmp_path: Path, messages: Any, run: Any
) -> None:
    """In a spool and by itself, as if there were none; in a store nothing is changed, damaged or not."""
    closed_in_error(spool.open_episode('a'), messages)
    spool.close_episode('a')
    Uploader(spool.root, FolderStore(tmp_path / 'store')).run_once()
    code, said = run('repair', spool.quarantine_folder('a'))
    assert (code, said.get('repaired')) == (0, True), said
    entry = spool.find('a')
    assert entry is not None
    assert entry.state is State.CLOSED
    assert EpisodeManifest.load(spool.folder('a')).outcome == 'failure'

    closed_in_error(tmp_path / 'b', messages)
    code, said = run('repair', tmp_path / 'b')
    assert (code, said.get('repaired')) == (0, True), said
    assert EpisodeManifest.load(tmp_path / 'b').recovered

    stored = tmp_path / 'store' / 'robots' / 'g1_01' / 'episodes' / '2026-11-28' / 'c'
    closed_in_error(stored, messages)
    code, said = run('repair', stored)
    assert (code, 'in a store' in said['error']) == (1, True)
    assert (stored / 'manifest.json').read_bytes() == bytes(3000)


def test_repair_is_not_taken_for_what_a_killed_recorder_left(
    spool: Spool, messages: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The robot is started while a person repairs: its recorder leaves that episode to the repair."""
    closed_in_error(spool.open_episode('a'), messages)
    spool.close_episode('a')
    spool.quarantine('a', 'a person found it odd')
    found: list[Any] = []
    repair_file = recovery.repair_file

    def meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(recovery, 'repair_file', repair_file)
        other = Spool(spool.root)
        found.append(other.recover(recover_bag))
        other.close()
        return repair_file(*arguments)

    path = spool.quarantine_folder('a') / 'a_0.mcap'
    path.write_bytes(path.read_bytes()[:-400])
    monkeypatch.setattr(recovery, 'repair_file', meanwhile)
    code, said = run('repair', spool.quarantine_folder('a'))
    assert found == [[]]
    assert (code, said.get('repaired')) == (0, True), said
    entry = spool.find('a')
    assert entry is not None
    assert (entry.state, entry.claimed_by) == (State.CLOSED, '')


def test_repair_leaves_a_working_recorder_alone(spool: Spool, run: Any) -> None:
    folder = spool.open_episode('a')
    lock = RecorderLock(spool.root)
    code, said = run('repair', folder)
    assert (code, 'another recorder works' in said['error']) == (1, True)
    lock.close()
    code, said = run('repair', folder)
    assert (code, 'no .mcap file' in said['error']) == (1, True)
    assert 'quarantined' in said['error']


def test_repair_of_a_bag_by_itself(
    tmp_path: Path, make_episode: Maker, messages: Any, run: Any
) -> None:
    """Its original stays beside it."""
    make_episode(tmp_path / 'a')
    path = tmp_path / 'a' / 'a_0.mcap'
    path.write_bytes(path.read_bytes()[:-500])
    damaged = path.read_bytes()
    code, said = run('repair', tmp_path / 'a')
    assert (code, said['repaired']) == (0, True)
    assert main(['verify', str(tmp_path / 'a')]) == 0
    assert (tmp_path / 'a.originals' / 'a_0.mcap').read_bytes() == damaged


def test_upload_delivers_and_says_what_it_could_not(
    spool: Spool, tmp_path: Path, make_episode: Maker, run: Any
) -> None:
    store = tmp_path / 'store'
    closed(spool, make_episode, 'a')
    broken = closed(spool, make_episode, 'b')
    (broken / 'b_0.mcap').write_bytes(b'')
    code, rows = run('upload', spool.root, '--store', store)
    assert code == 1
    assert [(one['episode_id'], one['state'], one['delivered']) for one in rows] == [
        ('a', 'deleted', True), ('b', 'quarantined', False)
    ]  # fmt: skip
    assert 'b_0.mcap' in rows[1]['reason']
    assert run('upload', spool.root, '--store', store) == (0, [])


def test_upload_of_one_episode(
    spool: Spool, tmp_path: Path, make_episode: Maker, run: Any
) -> None:
    """From a spool, or a folder by itself, which stays."""
    first = closed(spool, make_episode, 'a')
    closed(spool, make_episode, 'b')
    make_episode(tmp_path / 'c')
    store = tmp_path / 'store'
    assert run('upload', first, '--store', store)[0] == 0
    assert [entry.state for entry in spool.entries()] == [State.DELETED, State.CLOSED]
    code, said = run('upload', tmp_path / 'c', '--store', store)
    assert (code, said['delivered'], said['already']) == (0, True, False)
    assert (tmp_path / 'c' / 'c_0.mcap').exists()
    assert run('upload', tmp_path / 'c', '--store', store)[1]['already']
    code, said = run('upload', tmp_path / 'nothing', '--store', store)
    assert (code, 'no such folder' in said['error']) == (1, True)
