"""What a killed recorder left becomes an episode again: all that can be verified, labelled by its own messages."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lwd_recorder.bag import BagWriter, read_bag
from lwd_recorder.manifest import EpisodeManifest
from lwd_recorder.recording import recovery
from lwd_recorder.recording.recovery import recover_bag
from lwd_recorder.spool import Spool, State

JOINT_STATE = 'sensor_msgs/msg/JointState'
EPISODE_TYPE = 'lwd_msgs/msg/Episode'
STEP_NS = 10_000_000
START_NS = 5_000_000_000


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / 'spool')
    yield spool
    spool.close()


def leave_open(
    spool: Spool,
    messages: Any,
    episode_id: str = 'ep',
    *,
    count: int = 200,
    start: bool = True,
    end: int | None = None,
    max_file_s: float = 0.0,
) -> tuple[Path, list[bytes]]:
    """Record an episode and let go of it as SIGKILL does; returns its folder and what had reached the disk."""
    folder = spool.open_episode(episode_id, 'g1_laptop')
    bag = BagWriter(folder, chunk_span_s=0.1, max_file_s=max_file_s)
    sent = []
    if start:
        data = messages.episode(episode_id, START_NS)
        bag.write('/g1_01/episode', EPISODE_TYPE, data, START_NS, START_NS)
    for i in range(count):
        now_ns = START_NS + i * STEP_NS
        sent.append(messages.joint_state(now_ns))
        bag.write('/g1_01/joint_states', JOINT_STATE, sent[-1], now_ns, now_ns)
    if end is not None:
        ended_ns = START_NS + count * STEP_NS
        data = messages.episode(episode_id, START_NS, ended_ns, end)
        bag.write('/g1_01/episode', EPISODE_TYPE, data, ended_ns, ended_ns)
        bag.flush()
    bag.abandon()
    return folder, sent


def joints(folder: Path) -> list[bytes]:
    return [one.data for one in read_bag(folder, ['/g1_01/joint_states'])]


def test_open_episode_is_recovered_as_aborted(spool: Spool, messages: Any) -> None:
    folder, sent = leave_open(spool, messages)
    [entry] = spool.recover(recover_bag)
    assert entry.state is State.CLOSED
    kept = joints(folder)
    assert kept == sent[: len(kept)]
    assert len(kept) > len(sent) - 15, 'no more than the open chunk is gone'
    manifest = EpisodeManifest.load(folder)
    assert (manifest.recovered, manifest.outcome, manifest.ended_by) == (
        True,
        'aborted',
        'recovery',
    )
    assert (manifest.profile, manifest.task, manifest.robot_id) == (
        'g1_laptop',
        'restock',
        'g1_01',
    )
    assert manifest.started_s == 5.0
    assert manifest.ended_s == pytest.approx(5.0 + 0.01 * (len(kept) - 1))
    assert manifest.topics['/g1_01/joint_states'].count == len(kept)
    assert manifest.topics['/g1_01/joint_states'].rate_hz == pytest.approx(100.0)
    assert manifest.lost is not None
    assert (manifest.lost.bytes, manifest.lost.topics) == (0, ())
    assert not spool.originals('ep').exists(), 'all of the original is in the repaired file'
    assert spool.recover(recover_bag) == []


@pytest.mark.parametrize(('outcome', 'name'), [(1, 'success'), (2, 'failure'), (3, 'aborted')])
def test_recorded_end_is_the_label(spool: Spool, messages: Any, outcome: int, name: str) -> None:
    """Killed after the end, before the manifest: the label is the one that was given."""
    folder, sent = leave_open(spool, messages, end=outcome)
    spool.recover(recover_bag)
    manifest = EpisodeManifest.load(folder)
    assert (manifest.outcome, manifest.ended_by) == (name, 'operator')
    assert manifest.ended_s == pytest.approx(7.0)
    assert joints(folder) == sent
    entry = spool.find('ep')
    assert entry is not None
    assert entry.urgent is (name == 'failure')


def test_splits_are_repaired_each_for_itself(spool: Spool, messages: Any) -> None:
    """A file that was being finished in the background and the one that was being written."""
    folder, sent = leave_open(spool, messages, max_file_s=0.5)
    files = sorted(folder.glob('*.mcap'))
    assert len(files) >= 3
    files[1].write_bytes(files[1].read_bytes()[:-40])
    spool.recover(recover_bag)
    kept = joints(folder)
    assert kept == [data for data in sent if data in set(kept)]
    assert len(kept) > len(sent) - 30
    manifest = EpisodeManifest.load(folder)
    assert [file.name for file in manifest.files] == [
        *(path.name for path in files),
        'metadata.yaml',
    ]


def test_damage_is_told_and_the_original_kept(spool: Spool, messages: Any) -> None:
    folder, sent = leave_open(spool, messages, end=1)
    path = folder / 'ep_0.mcap'
    wrong = bytearray(path.read_bytes())
    wrong[len(wrong) // 2] ^= 16
    path.write_bytes(wrong)
    spool.recover(recover_bag)
    kept = joints(folder)
    assert 40 < len(kept) < 180
    assert kept == sent[: len(kept)]
    manifest = EpisodeManifest.load(folder)
    assert manifest.outcome == 'aborted', 'its end was behind the damage'
    assert manifest.lost is not None
    assert manifest.lost.bytes > 1000
    assert manifest.lost.seconds > 0.1
    assert '/g1_01/joint_states' in manifest.lost.topics
    assert any('ep_0.mcap' in note and 'kept' in note for note in manifest.notes)
    assert (spool.originals('ep') / 'ep_0.mcap').read_bytes() == wrong


@pytest.mark.parametrize('what', ['empty', 'nothing', 'nameless', 'noise'])
def test_what_cannot_be_an_episode_is_quarantined_with_the_reason(
    spool: Spool, messages: Any, what: str
) -> None:
    if what == 'nothing':
        spool.open_episode('ep')
    else:
        folder, _ = leave_open(
            spool, messages, start=what != 'nameless', count=0 if what == 'empty' else 50
        )
        if what == 'noise':
            (folder / 'ep_0.mcap').write_bytes(b'\0' * 1000)
    [entry] = spool.recover(recover_bag)
    assert entry.state is State.QUARANTINED
    said = {'nothing': 'no .mcap file', 'nameless': 'no Episode message'}
    assert said.get(what, 'can be verified') in entry.reason
    assert entry.reason in (spool.quarantine_folder('ep') / 'reason.txt').read_text()


@pytest.mark.parametrize('step', ['fsync_folder', 'write_atomically', 'file_record'])
def test_interrupted_recovery_is_taken_up_again(
    spool: Spool, messages: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The disk refuses in the middle: the episode stays open, and the next start finishes with the same result."""
    folder, sent = leave_open(spool, messages, max_file_s=0.7)
    path = sorted(folder.glob('*.mcap'))[0]
    wrong = bytearray(path.read_bytes())
    wrong[len(wrong) // 2] ^= 16
    path.write_bytes(wrong)

    def refuse(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device', str(path))

    with monkeypatch.context() as context:
        context.setattr(recovery, step, refuse)
        [entry] = spool.recover(recover_bag)
        assert entry.state is State.OPEN
        assert 'No space left' in entry.reason
    [entry] = spool.recover(recover_bag)
    assert entry.state is State.CLOSED
    manifest = EpisodeManifest.load(folder)
    assert manifest.lost is not None
    assert manifest.lost.bytes > 0
    assert (spool.originals('ep') / path.name).read_bytes() == wrong
    kept = joints(folder)
    assert kept == [data for data in sent if data in set(kept)]


def test_quarantined_episode_is_repaired_on_demand(spool: Spool, messages: Any) -> None:
    folder, _ = leave_open(spool, messages)
    spool.recover()
    assert not folder.exists()
    spool.take_back('ep')
    spool.recover_episode('ep', recover_bag)
    entry = spool.find('ep')
    assert entry is not None
    assert entry.state is State.CLOSED
    assert len(joints(folder)) > 100
    assert not (folder / 'reason.txt').exists()


@pytest.mark.parametrize('at', ['the look', 'the repair'])
def test_a_manifest_that_cannot_be_read_now_waits_and_keeps_its_label(
    spool: Spool, messages: Any, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Left open with a manifest, and the disk stumbles: nothing is moved, and nothing written over the label."""
    folder, _ = leave_open(spool, messages)
    spool.recover_episode('ep', recover_bag)
    replace(EpisodeManifest.load(folder), outcome='success').save(folder)
    spool.quarantine('ep', 'opened again by this test')
    spool.take_back('ep')
    before = (folder / 'manifest.json').read_bytes()
    read, left = Path.read_bytes, [0 if at == 'the look' else 1]
    if at == 'the repair':  # a file that is not what the manifest says: it is to be repaired
        with (folder / 'ep_0.mcap').open('ab') as file:
            file.write(b'junk')

    def refuse(path: Path) -> bytes:
        if path.name != 'manifest.json' or left[0] > 0:
            left[0] -= path.name == 'manifest.json'
            return read(path)
        raise OSError(errno.EIO, 'Input/output error', str(path))

    with monkeypatch.context() as context:
        context.setattr(Path, 'read_bytes', refuse)
        [entry] = spool.recover(recover_bag)
    assert entry.state is State.OPEN
    assert 'Input/output error' in entry.reason
    assert (folder / 'manifest.json').read_bytes() == before
    [entry] = spool.recover(recover_bag)
    assert entry.state is State.CLOSED
    assert EpisodeManifest.load(folder).outcome == 'success'
