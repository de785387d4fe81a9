"""Which message lands in which episode, and what happens when the world misbehaves. No ROS, a clock of our own."""

from __future__ import annotations

import errno
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from lwd_recorder.bag import BagWriter, read_bag
from lwd_recorder.manifest import EpisodeManifest
from lwd_recorder.recording import (
    Attachment,
    EpisodeEnd,
    EpisodeStart,
    Notice,
    RecordedTopic,
    Recorder,
    RecorderConfig,
    recorder,
    robot_topics,
    writer,
)
from lwd_recorder.recording.preroll import PreRoll, Sample
from lwd_recorder.recording.recovery import recover_bag
from lwd_recorder.spool import Entry, Spool, SpoolError, State
from lwd_recorder.spool.journal import Journal
from mcap.reader import make_reader

S = 1_000_000_000
TOPICS = [RecordedTopic(f'/g1_01/{spec.name}', spec) for spec in robot_topics(['head'])]
INDEX = {topic.spec.name: index for index, topic in enumerate(TOPICS)}
JOINTS, MODE = INDEX['joint_states'], INDEX['control_mode']
EPISODE = b'\x00\x01\x00\x00' + bytes(64)


class Rig:
    """A Recorder with hands on both of its clocks."""

    def __init__(self, root: Path, **config: Any) -> None:
        self.root = root
        self.wall_s = 1000.0
        self.notices: list[Notice] = []
        self.recorder = Recorder(
            root,
            TOPICS,
            RecorderConfig(**({'min_free_bytes': 0} | config)),
            monotonic_s=lambda: self.wall_s,
            wall_s=lambda: 1_795_000_000.0 + self.wall_s,
        )
        self.notices += self.recorder.start()

    def joints(self, stamp_s: float, messages: Any, late_s: float = 0.0) -> None:
        data = messages.joint_state(round(stamp_s * S))
        self.recorder.on_message(JOINTS, data, round((stamp_s + late_s) * S), round(stamp_s * S))

    def run(self, messages: Any, start_s: float, end_s: float, rate_hz: float = 10.0) -> None:
        for i in range(round((end_s - start_s) * rate_hz)):
            self.joints(start_s + i / rate_hz, messages)

    def begin(
        self, episode_id: str, now_s: float, started_s: float | None = None, **facts: Any
    ) -> None:
        started_ns = round((now_s if started_s is None else started_s) * S)
        fields = {'task': 't', 'instruction': 'i', 'kind': 'rollout', 'seed': 3} | facts
        start = EpisodeStart(episode_id, 'g1_01', started_ns=started_ns, data=EPISODE, **fields)
        self.recorder.on_start(start, round(now_s * S))

    def end(self, episode_id: str, now_s: float, outcome: str = 'success') -> None:
        self.recorder.on_end(
            episode_id,
            EpisodeEnd(round(now_s * S), outcome, 'simulator'),
            EPISODE,
            round(now_s * S),
        )

    def poll(self, now_s: float, wall_s: float = 0.0) -> None:
        self.wall_s += wall_s
        self.notices += self.recorder.poll(round(now_s * S))

    def closed(self, count: int, now_s: float) -> list[str]:
        """Wait until the writer has closed so many episodes."""
        deadline_s = time.monotonic() + 20
        while len(found := [one.closed for one in self.notices if one.closed]) < count:
            assert time.monotonic() < deadline_s, self.notices
            self.poll(now_s)
            time.sleep(0.005)
        return found

    def manifest(self, episode_id: str) -> EpisodeManifest:
        return EpisodeManifest.load(self.root / 'episodes' / episode_id)

    def stamps(self, episode_id: str) -> list[float]:
        folder = self.root / 'episodes' / episode_id
        return [
            round(
                int.from_bytes(data[4:8], 'little') + int.from_bytes(data[8:12], 'little') / S, 3
            )
            for _, _, data, _ in read_bag(folder, [TOPICS[JOINTS].name])
        ]

    def errors(self) -> str:
        return '\n'.join(one.text for one in self.notices if one.level == 'error')


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(**config: Any) -> Rig:
        rigs.append(Rig(tmp_path / 'spool', **config))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.recorder.shutdown()
        rig.recorder.close()


def test_bag_holds_preroll_episode_and_late_messages(make_rig: Any, messages: Any) -> None:
    """From preroll_s before the start to the end's stamp, also what arrives after the end."""
    rig = make_rig(preroll_s=0.5)
    rig.run(messages, 1.0, 3.0)
    rig.begin('ep', 3.0)
    rig.run(messages, 3.0, 5.0)
    rig.end('ep', 5.0)
    rig.joints(4.95, messages, late_s=0.15)
    rig.joints(5.05, messages, late_s=0.1)
    rig.poll(5.1, wall_s=0.3)
    assert rig.recorder.poll(round(5.1 * S)) == []
    rig.poll(5.25)
    assert rig.closed(1, 5.25) == ['ep']
    expected = [2.5 + i / 10 for i in range(25)] + [4.95]
    assert rig.stamps('ep') == pytest.approx(expected)
    manifest = rig.manifest('ep')
    assert (manifest.outcome, manifest.ended_by, manifest.seed) == ('success', 'simulator', 3)
    assert (manifest.started_s, manifest.ended_s) == (3.0, 5.0)
    assert manifest.topics['/g1_01/episode'].count == 2
    assert 'no message on /g1_01/executed_action' in manifest.notes


def test_standing_clock_does_not_hold_an_episode_back(make_rig: Any, messages: Any) -> None:
    """A simulator that waits between episodes: the wall clock closes the bag."""
    rig = make_rig()
    rig.run(messages, 1.0, 2.0)
    rig.begin('ep', 2.0)
    rig.end('ep', 3.0)
    rig.poll(3.0, wall_s=0.9)
    assert not [one for one in rig.notices if one.closed]
    rig.poll(3.0, wall_s=0.2)
    assert rig.closed(1, 3.0) == ['ep']


def test_back_to_back_episodes_lose_nothing(make_rig: Any, messages: Any) -> None:
    """The next one begins before the last one's late messages are in: each gets its own."""
    rig = make_rig(preroll_s=0.0)
    rig.run(messages, 1.0, 2.0)
    rig.begin('a', 2.0)
    rig.run(messages, 2.0, 3.0)
    rig.end('a', 3.0)
    rig.begin('b', 3.001, started_s=3.001)
    rig.joints(2.99, messages, late_s=0.02)
    rig.run(messages, 3.1, 4.1)
    rig.end('b', 4.1)
    rig.poll(5.0, wall_s=1.0)
    assert rig.closed(2, 5.0) == ['a', 'b']
    assert rig.stamps('a') == pytest.approx([2.0 + i / 10 for i in range(10)] + [2.99])
    assert rig.stamps('b')[-10:] == pytest.approx([3.1 + i / 10 for i in range(10)])


def test_latched_state_of_before_is_in_the_bag(make_rig: Any, messages: Any) -> None:
    """Who controlled the robot at the start is known, however long ago it was announced."""
    rig = make_rig(preroll_s=0.2)
    rig.recorder.on_message(MODE, b'\x00\x01\x00\x00' + bytes(60), S, S)
    rig.run(messages, 1.0, 9.0)
    rig.begin('ep', 9.0)
    rig.end('ep', 9.5)
    rig.poll(10.0, wall_s=2.0)
    rig.closed(1, 10.0)
    [message] = read_bag(rig.root / 'episodes' / 'ep', ['/g1_01/control_mode'])
    assert message.log_time_ns == pytest.approx(8.8 * S)


def test_episode_under_way_at_the_start_is_skipped_and_named(make_rig: Any, messages: Any) -> None:
    """Part of an episode is never recorded as the whole; the next one is."""
    rig = make_rig()
    rig.run(messages, 10.0, 11.0)
    rig.begin('part', 11.0, started_s=7.0)
    rig.begin('part', 11.1, started_s=7.0)
    rig.poll(11.1)
    assert rig.recorder.missed == 'part'
    rig.end('part', 12.0)
    rig.begin('next', 13.0)
    rig.end('next', 14.0)
    rig.poll(15.0, wall_s=2.0)
    assert rig.closed(1, 15.0) == ['next']
    assert rig.errors().count('episode part is not recorded') == 1
    assert rig.recorder.missed == ''
    assert not (rig.root / 'episodes' / 'part').exists()


@pytest.mark.parametrize('then', ['the next one began', 'its end', 'idle'])
def test_an_episode_that_is_over_is_missed_no_more(
    make_rig: Any, messages: Any, then: str
) -> None:
    """All of it heard in one go, after a pause: what is ended on its account would be the next one."""
    rig = make_rig()
    rig.run(messages, 10.0, 11.0)
    rig.begin('part', 11.0, started_s=7.0)
    if then == 'idle':
        rig.recorder.on_idle(12 * S)
    elif then == 'its end':
        rig.end('part', 12.0)
    else:
        rig.begin('next', 12.0)
    rig.poll(12.0)
    assert rig.recorder.missed == ''
    assert 'episode part is not recorded' in rig.errors()


def test_an_episode_that_was_recorded_and_is_announced_again_is_no_error(
    make_rig: Any, messages: Any
) -> None:
    """Its clock jumped back, or it was longer than max_episode_s: it ended here, and its RUNNING comes once more."""
    rig = make_rig(max_episode_s=5.0)
    rig.run(messages, 10.0, 11.0)
    rig.begin('long', 11.0)
    rig.run(messages, 11.0, 12.0)
    rig.poll(17.0, wall_s=2.0)
    rig.poll(18.0, wall_s=2.0)
    assert rig.closed(1, 18.0) == ['long']
    rig.begin('long', 18.0, started_s=11.0)
    rig.poll(18.0)
    assert rig.errors() == ''
    assert (rig.recorder.missed, rig.recorder.trouble) == ('', '')


def test_an_end_that_a_restarted_node_does_not_know_is_now(make_rig: Any, messages: Any) -> None:
    rig = make_rig()
    rig.run(messages, 1.0, 2.0)
    rig.begin('lost', 2.0)
    rig.run(messages, 2.0, 4.0)
    rig.recorder.on_end('lost', EpisodeEnd(2 * S, 'aborted', 'restart'), EPISODE, 4 * S)
    rig.poll(5.0, wall_s=2.0)
    rig.closed(1, 5.0)
    manifest = rig.manifest('lost')
    assert (manifest.outcome, manifest.ended_s) == ('aborted', 4.0)
    assert 'not announced in time' in ' '.join(manifest.notes)


def test_start_heard_before_the_clock_waits_for_it(make_rig: Any, messages: Any) -> None:
    """The latched RUNNING comes before the first /clock: whether we are late is known only then."""
    rig = make_rig()
    rig.begin('part', 0.0, started_s=7.0)
    assert rig.recorder.episode_id == ''
    rig.run(messages, 10.0, 10.5)
    rig.poll(10.5)
    assert rig.recorder.episode_id == ''
    assert '3.00 s before the recorder' in rig.errors()


def test_id_in_the_spool_is_not_recorded_again(make_rig: Any, messages: Any) -> None:
    rig = make_rig()
    rig.run(messages, 1.0, 2.0)
    rig.begin('ep', 2.0)
    rig.end('ep', 3.0)
    rig.poll(4.0, wall_s=2.0)
    rig.closed(1, 4.0)
    rig.begin('ep', 5.0)
    rig.poll(5.0)
    assert rig.recorder.episode_id == ''
    assert 'in the spool already' in rig.errors()


@pytest.mark.parametrize(
    ('episode_id', 'facts', 'reason'),
    [('a/../b', {}, 'cannot name a folder'), ('ep', {'kind': 'test'}, "kind is 'test'")],
)
def test_episodes_that_cannot_be_delivered_are_refused(
    make_rig: Any, messages: Any, episode_id: str, facts: dict[str, Any], reason: str
) -> None:
    rig = make_rig()
    rig.run(messages, 1.0, 2.0)
    rig.begin(episode_id, 2.0, **facts)
    rig.poll(2.0)
    assert reason in rig.errors()
    assert reason in rig.recorder.trouble


def test_lost_end_is_closed_as_aborted(make_rig: Any, messages: Any) -> None:
    """The episode node was killed: its episode is delivered without a reward, with the reason."""
    rig = make_rig()
    rig.run(messages, 1.0, 2.0)
    rig.begin('a', 2.0)
    rig.run(messages, 2.0, 3.0)
    rig.begin('b', 3.0)
    rig.run(messages, 3.0, 4.0)
    rig.end('b', 4.0)
    rig.poll(5.0, wall_s=2.0)
    assert rig.closed(2, 5.0) == ['a', 'b']
    manifest = rig.manifest('a')
    assert (manifest.outcome, manifest.ended_by) == ('aborted', 'recorder')
    assert 'no end was announced before episode b' in manifest.notes[0]


def test_endless_episode_is_closed(make_rig: Any, messages: Any) -> None:
    rig = make_rig(max_episode_s=5.0)
    rig.run(messages, 1.0, 2.0)
    rig.begin('a', 2.0)
    rig.poll(7.5)
    rig.poll(8.0, wall_s=2.0)
    assert rig.closed(1, 8.0) == ['a']
    assert 'max_episode_s' in rig.manifest('a').notes[0]


def test_clock_that_jumps_back_ends_the_episode(make_rig: Any, messages: Any) -> None:
    """A restarted simulator: nothing of its new life lands in the old episode, and recording goes on."""
    rig = make_rig()
    rig.run(messages, 100.0, 101.0)
    rig.begin('a', 101.0)
    rig.run(messages, 101.0, 102.0)
    rig.run(messages, 0.1, 1.0)
    rig.begin('b', 1.0)
    rig.run(messages, 1.0, 2.0)
    rig.end('b', 2.0)
    rig.poll(3.0, wall_s=2.0)
    assert rig.closed(2, 3.0) == ['a', 'b']
    assert 'jumped' in rig.manifest('a').notes[0]
    assert min(rig.stamps('a')) >= 100.0
    assert max(rig.stamps('b')) < 3.0


def test_clock_that_leaps_past_the_limit_ends_the_episode_before_the_leap(
    make_rig: Any, messages: Any
) -> None:
    """Booted without a network, and NTP comes: nobody forgot to announce an end, and recording goes on."""
    rig = make_rig()
    rig.run(messages, 100.0, 101.0)
    rig.begin('a', 101.0)
    rig.run(messages, 101.0, 103.0)
    rig.poll(103.0, wall_s=0.04)
    rig.run(messages, 7000.0, 7001.0)
    rig.end('a', 7001.0)
    rig.begin('b', 7002.0)
    rig.run(messages, 7002.0, 7003.0)
    rig.end('b', 7003.0)
    rig.poll(7004.0, wall_s=2.0)
    assert rig.closed(2, 7004.0) == ['a', 'b']
    manifest = rig.manifest('a')
    assert (manifest.outcome, manifest.ended_by, manifest.ended_s) == (
        'aborted',
        'recorder',
        103.0,
    )
    assert manifest.notes[0] == 'the robot clock leapt from 103.000 to 7000.000 s'
    assert max(rig.stamps('a')) < 103.0
    assert rig.manifest('b').outcome == 'success'


def test_clock_that_leaps_a_little_is_noted(make_rig: Any, messages: Any) -> None:
    rig = make_rig()
    rig.run(messages, 100.0, 101.0)
    rig.begin('a', 101.0)
    rig.poll(102.0, wall_s=1.0)
    rig.poll(162.0, wall_s=0.04)
    rig.end('a', 163.0)
    rig.poll(164.0, wall_s=2.0)
    rig.closed(1, 164.0)
    assert rig.manifest('a').outcome == 'success'
    assert 'the robot clock leapt from 102.000 to 162.000 s' in rig.manifest('a').notes


def test_fast_simulator_does_not_leap(make_rig: Any, messages: Any) -> None:
    """At twenty times the wall, and with a recorder that is slow to look."""
    rig = make_rig(max_episode_s=100.0)
    rig.run(messages, 1.0, 2.0)
    rig.begin('a', 2.0)
    for turn in range(1, 7):
        rig.poll(2.0 + 20.0 * turn, wall_s=1.0)
    rig.poll(130.0, wall_s=2.0)
    rig.closed(1, 130.0)
    assert 'max_episode_s' in rig.manifest('a').notes[0]
    assert 'leapt' not in ' '.join(rig.manifest('a').notes)


def test_shutdown_closes_as_aborted(make_rig: Any, messages: Any) -> None:
    rig = make_rig()
    rig.run(messages, 1.0, 2.0)
    rig.begin('a', 2.0)
    rig.run(messages, 2.0, 3.0)
    rig.recorder.shutdown()
    manifest = rig.manifest('a')
    assert (manifest.outcome, manifest.ended_by) == ('aborted', 'shutdown')
    assert rig.stamps('a')[-1] == pytest.approx(2.9)
    spool = Spool(rig.root)
    assert spool.backlog() == 1
    spool.close()


def test_full_disk_stops_new_episodes_only(make_rig: Any, messages: Any) -> None:
    """The reason is named, the recorder lives, and recording goes on when there is space again."""
    rig = make_rig(min_free_bytes=1 << 60)
    rig.run(messages, 1.0, 2.0)
    rig.begin('a', 2.0)
    rig.poll(2.0)
    assert 'disk full' in rig.errors()
    assert 'min_free_bytes' in rig.recorder.trouble
    assert not (rig.root / 'episodes' / 'a').exists()


def test_disk_error_in_an_episode_costs_that_episode(
    make_rig: Any, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC in mid-episode: set aside with the reason, nothing deleted, the next one is recorded."""
    rig = make_rig()
    rig.run(messages, 1.0, 2.0)
    rig.begin('a', 2.0)
    rig.run(messages, 2.0, 2.5)
    rig.poll(2.5)
    write = BagWriter.write

    def full(self: BagWriter, *arguments: Any) -> None:
        if self.directory.name == 'a':
            raise OSError(errno.ENOSPC, 'No space left on device')
        write(self, *arguments)

    monkeypatch.setattr(BagWriter, 'write', full)
    rig.run(messages, 2.5, 3.0)
    give_up_s = time.monotonic() + 10.0
    while rig.recorder.episode_id and time.monotonic() < give_up_s:
        rig.poll(3.0)
        time.sleep(0.01)
    assert rig.recorder.episode_id == ''  # or the robot would think that it is recorded
    assert 'No space left' in rig.recorder.trouble
    rig.end('a', 3.0)
    rig.run(messages, 3.0, 4.0)
    rig.begin('b', 4.0)
    rig.run(messages, 4.0, 5.0)
    rig.end('b', 5.0)
    rig.poll(6.0, wall_s=2.0)
    assert rig.closed(1, 6.0) == ['b']
    assert 'No space left' in rig.errors()
    rig.recorder.shutdown()
    spool = Spool(rig.root)
    entry = spool.find('a')
    assert entry is not None
    assert entry.state is State.QUARANTINED  # its Episode message, a dummy here, says nothing
    assert 'No space left' in entry.reason
    assert (spool.quarantine_folder('a') / 'a_0.mcap').exists()
    spool.close()


def test_a_long_repair_holds_up_no_other_episode(
    make_rig: Any, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed is being repaired, which may take long; the next one is synced and closed meanwhile."""
    rig = make_rig()
    write, recover = BagWriter.write, Spool.recover_episode
    begun, go_on = threading.Event(), threading.Event()

    def full(self: BagWriter, *arguments: Any) -> None:
        if self.directory.name == 'a':
            raise OSError(errno.ENOSPC, 'No space left on device')
        write(self, *arguments)

    def slow(self: Spool, *arguments: Any) -> None:
        begun.set()
        go_on.wait(60)
        recover(self, *arguments)

    monkeypatch.setattr(BagWriter, 'write', full)
    monkeypatch.setattr(Spool, 'recover_episode', slow)
    rig.run(messages, 1.0, 2.0)
    rig.begin('a', 2.0)
    try:
        assert begun.wait(20)
        rig.poll(3.0)
        rig.begin('b', 4.0)
        rig.run(messages, 4.0, 5.0)
        rig.end('b', 5.0)
        rig.poll(6.0, wall_s=2.0)
        assert rig.closed(1, 6.0) == ['b']
    finally:
        go_on.set()
    rig.notices += rig.recorder.shutdown()
    assert any('episode a is now quarantined' in one.text for one in rig.notices)


def test_full_queue_drops_and_counts(
    make_rig: Any, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory stays bounded when the disk is slow, and the manifest says what is missing."""
    rig = make_rig(queue_limit_bytes=20_000, preroll_s=0.0)
    write = BagWriter.write

    def slow(self: BagWriter, *arguments: Any) -> None:
        time.sleep(0.02)
        write(self, *arguments)

    monkeypatch.setattr(BagWriter, 'write', slow)
    rig.run(messages, 1.0, 2.0)
    rig.begin('a', 2.0)
    rig.run(messages, 2.0, 12.0)
    assert rig.recorder.held_bytes[1] <= 20_000
    rig.end('a', 12.0)
    rig.poll(13.0, wall_s=2.0)
    rig.closed(1, 13.0)
    manifest = rig.manifest('a')
    dropped = rig.recorder.dropped
    assert dropped > 0
    kept = manifest.topics['/g1_01/joint_states'].count + manifest.topics['/g1_01/episode'].count
    assert kept + dropped == 102
    assert any('dropped: queue full' in note for note in manifest.notes)


def test_restart_sets_the_open_episode_aside(make_rig: Any, messages: Any, tmp_path: Path) -> None:
    """After kill -9 the open episode is quarantined and its latched RUNNING does not revive it."""
    spool = Spool(tmp_path / 'spool')
    spool.open_episode('killed')
    spool.close()
    rig = make_rig()
    assert 'episode killed is quarantined' in rig.notices[0].text
    rig.run(messages, 10.0, 11.0)
    rig.begin('killed', 11.0, started_s=11.0)
    rig.poll(11.0)
    assert 'killed is not recorded: it is in the spool already (quarantined)' in rig.errors()


class _FullDisk:
    """A salvage that the disk refuses until there is room."""

    def __init__(self) -> None:
        self.tried, self.room = threading.Event(), threading.Event()
        self.tries = 0

    def __call__(self, folder: Path, aside: Path, profile: str, **more: Any) -> EpisodeManifest:
        self.tries += 1
        self.tried.set()
        if not self.room.is_set():
            raise OSError(errno.ENOSPC, 'No space left on device')
        return recover_bag(folder, aside, profile, **more)


def left_open(root: Path, messages: Any, *episode_ids: str) -> None:
    """Leave what a killed recorder leaves."""
    spool = Spool(root)
    for episode_id in episode_ids:
        bag = BagWriter(spool.open_episode(episode_id, 'g1_laptop'))
        data = messages.episode(episode_id, S)
        bag.write('/g1_01/episode', 'lwd_msgs/msg/Episode', data, S, S)
        bag.flush()
        bag.abandon()
    spool.close()


def test_what_was_left_open_is_tried_again_while_the_recorder_runs(
    make_rig: Any, messages: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at the start; there is room later, and nobody starts the recorder again."""
    left_open(tmp_path / 'spool', messages, 'killed')
    disk = _FullDisk()
    monkeypatch.setattr(recorder, 'recover_bag', disk)
    monkeypatch.setattr(writer, 'REPAIR_S', 0.02)
    rig = make_rig(sync_s=0.01)
    assert 'episode killed is still open' in rig.notices[0].text
    assert 'No space left' in rig.notices[0].text
    assert 'again' in rig.notices[0].text
    rig.run(messages, 1.0, 2.0)
    rig.begin('next', 2.0)
    rig.run(messages, 2.0, 3.0)
    rig.end('next', 3.0)
    rig.poll(4.0, wall_s=2.0)
    assert rig.closed(1, 4.0) == ['next']
    disk.tried.clear()
    assert disk.tried.wait(20)
    disk.room.set()
    assert rig.closed(2, 4.0) == ['next', 'killed']
    assert rig.manifest('killed').recovered


def test_a_journal_that_refuses_at_the_start_ends_no_recorder(
    make_rig: Any, messages: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, records, and repairs what was left open when the journal answers; never what it records itself."""
    left_open(tmp_path / 'spool', messages, 'killed')
    entries, refuse = Journal.entries, threading.Event()

    def asked(self: Journal, *states: State) -> list[Entry]:
        if refuse.is_set():
            raise SpoolError('journal.sqlite: database is locked')
        return entries(self, *states)

    refuse.set()
    monkeypatch.setattr(Journal, 'entries', asked)
    monkeypatch.setattr(writer, 'REPAIR_S', 0.02)
    rig = make_rig(sync_s=0.01)
    assert 'database is locked' in rig.errors()
    rig.run(messages, 1.0, 2.0)
    rig.begin('next', 2.0)
    rig.run(messages, 2.0, 3.0)
    rig.poll(3.0)
    refuse.clear()
    assert rig.closed(1, 3.0) == ['killed']
    assert rig.recorder.episode_id == 'next'
    rig.end('next', 3.0)
    rig.poll(4.0, wall_s=2.0)
    assert rig.closed(2, 4.0) == ['killed', 'next']
    assert not rig.manifest('next').recovered


def test_what_is_repaired_already_is_not_tried_for_ever(
    make_rig: Any, messages: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repair got through and the answer was lost: the next try finds that there is nothing to do, and says so."""
    left_open(tmp_path / 'spool', messages, 'killed')
    disk = _FullDisk()
    monkeypatch.setattr(recorder, 'recover_bag', disk)
    monkeypatch.setattr(writer, 'REPAIR_S', 0.02)
    rig = make_rig(sync_s=0.01)
    recover = Spool.recover_episode

    def answer_lost(self: Spool, *arguments: Any) -> None:
        recover(self, *arguments)
        if disk.room.is_set():
            raise SpoolError('journal.sqlite: disk I/O error')

    monkeypatch.setattr(Spool, 'recover_episode', answer_lost)
    disk.room.set()
    assert rig.closed(1, 4.0) == ['killed']


def test_preroll_is_bounded_in_bytes_and_time() -> None:
    ring = PreRoll(span_ns=10 * S, limit_bytes=1000)
    for i in range(100):
        ring.add(Sample(0, bytes(100), i * S, i * S))
        assert ring.size_bytes <= 1000
    assert len(ring) == 10
    ring.add(Sample(0, bytes(100), 200 * S, 0))
    assert len(ring) == 1
    ring.add(Sample(0, bytes(5000), 201 * S, 0))
    assert len(ring) == 0


def test_long_episodes_are_split(make_rig: Any, messages: Any) -> None:
    """By the robot's clock: every message is in one file or the other, and the manifest lists them all."""
    rig = make_rig(max_file_s=2.0, preroll_s=0.0)
    rig.run(messages, 1.0, 2.0)
    rig.begin('ep', 2.0)
    rig.run(messages, 2.0, 9.0)
    rig.end('ep', 9.0)
    rig.poll(10.0, wall_s=2.0)
    rig.closed(1, 10.0)
    names = [file.name for file in rig.manifest('ep').files]
    assert names == ['ep_0.mcap', 'ep_1.mcap', 'ep_2.mcap', 'ep_3.mcap', 'metadata.yaml']
    assert rig.stamps('ep') == pytest.approx([2.0 + i / 10 for i in range(70)])


def test_bags_say_how_the_robot_was_set_up(make_rig: Any, messages: Any) -> None:
    """Files are in every bag; one that came during the episode, too, in its newest version."""
    rig = make_rig()
    rig.recorder.attach(Attachment('robot_profile.yaml', 'application/yaml', b'name: g1\n'))
    rig.run(messages, 1.0, 2.0)
    for name, at_s in (('a', 2.0), ('b', 5.0)):
        rig.begin(name, at_s)
        rig.recorder.attach(Attachment('parameters.yaml', 'application/yaml', name.encode()))
        rig.end(name, at_s + 1)
        rig.poll(at_s + 2, wall_s=2.0)
    rig.closed(2, 8.0)
    assert attachments(rig, 'a') == [
        ('robot_profile.yaml', b'name: g1\n'), ('parameters.yaml', b'a')
    ]  # fmt: skip
    assert attachments(rig, 'b')[-1] == ('parameters.yaml', b'b')


def test_the_audit_is_in_bag_and_manifest(make_rig: Any, messages: Any) -> None:
    """What is missing by rate, lost by sequence, late, and silent at the end: the same figures in both."""
    rig = make_rig(preroll_s=0.0)
    rig.begin('ep', 2.0)
    for i in range(40):
        if i not in (20, 21):
            rig.joints(2.0 + i / 10, messages, late_s=0.02)
    rig.recorder.on_lost(JOINTS, 2)
    rig.end('ep', 6.5)
    rig.poll(7.0, wall_s=2.0)
    rig.closed(1, 7.0)
    record = rig.manifest('ep').topics['/g1_01/joint_states']
    assert (record.count, record.missing, record.lost, record.dropped) == (38, 2, 2, 0)
    assert record.latency_s == record.max_latency_s == pytest.approx(0.02)
    assert record.max_gap_s == pytest.approx(0.6)
    with (rig.root / 'episodes' / 'ep' / 'ep_0.mcap').open('rb') as file:
        found = {one.name: one.metadata for one in make_reader(file).iter_metadata()}
    assert json.loads(found['lwd_audit']['/g1_01/joint_states']) == asdict(record)


def test_what_stops_is_in_log_and_manifest(make_rig: Any, messages: Any) -> None:
    rig = make_rig()
    rig.run(messages, 1.0, 2.0)
    rig.begin('ep', 2.0)
    rig.run(messages, 2.0, 4.0)
    for tenth in range(40, 61):
        rig.poll(tenth / 10, wall_s=0.1)
    assert 'joint_states stopped: nothing for 1.1 s, came at 10.0 Hz' in rig.errors()
    assert dict(rig.recorder.stopped())['joint_states'] == pytest.approx(2.1)
    rig.run(messages, 6.0, 6.5)
    rig.poll(6.5, wall_s=0.1)
    rig.end('ep', 6.5)
    rig.poll(7.0, wall_s=2.0)
    rig.closed(1, 7.0)
    notes = '\n'.join(rig.manifest('ep').notes)
    assert 'joint_states stopped' in notes
    assert 'joint_states is back after 2.1 s (at 4.5 s)' in notes


def test_disk_that_fills_up_ends_the_episode_while_it_can_be_closed(
    make_rig: Any, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(last_free_bytes=1 << 20)
    rig.run(messages, 1.0, 2.0)
    rig.begin('ep', 2.0)
    rig.run(messages, 2.0, 3.0)
    monkeypatch.setattr(Spool, 'free_bytes', lambda self: 1000)
    rig.poll(3.0, wall_s=1.0)
    rig.poll(4.0, wall_s=2.0)
    assert rig.closed(1, 4.0) == ['ep']
    manifest = rig.manifest('ep')
    assert (manifest.outcome, manifest.ended_by) == ('aborted', 'recorder')
    assert 'last_free_bytes' in manifest.notes[0]
    assert rig.stamps('ep')[-1] == pytest.approx(2.9)


def test_disk_that_is_nearly_full_is_warned_of(make_rig: Any, messages: Any) -> None:
    rig = make_rig(warn_free_bytes=1 << 60)
    rig.run(messages, 1.0, 2.0)
    rig.begin('ep', 2.0)
    rig.poll(2.0)
    assert 'disk nearly full' in rig.recorder.warning
    assert rig.recorder.episode_id == 'ep'


def test_a_local_copy_that_cannot_be_removed_refuses_no_episode(
    make_rig: Any, messages: Any, tmp_path: Path
) -> None:
    rig = make_rig(warn_free_bytes=1 << 60)
    spool = Spool(rig.root)
    for name in ('stuck', 'old'):
        folder = spool.open_episode(name)
        spool.close_episode(name)
        spool.begin_upload(name)
        spool.commit(name)
        if name == 'stuck':
            folder.rename(tmp_path / 'moved')
            folder.symlink_to(tmp_path / 'moved')
    rig.run(messages, 1.0, 2.0)
    rig.begin('ep', 2.0)
    rig.poll(2.0)
    assert rig.recorder.episode_id == 'ep', rig.errors()
    assert f'cannot be removed: {folder.parent / "stuck"}' in rig.recorder.warning
    assert [one.episode_id for one in spool.entries(State.DELETED)] == ['old']
    spool.close()


def test_disk_that_forgets_what_it_was_given(
    make_rig: Any, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EIO of an fsync in mid-episode costs that episode; the writer and the next one go on."""
    rig = make_rig(sync_s=0.0)
    sync = BagWriter.sync

    def broken(self: BagWriter) -> None:
        if self.directory.name == 'a':
            raise OSError(errno.EIO, 'Input/output error')
        sync(self)

    monkeypatch.setattr(BagWriter, 'sync', broken)
    rig.run(messages, 1.0, 2.0)
    rig.begin('a', 2.0)
    deadline_s = time.monotonic() + 20
    while 'Input/output' not in rig.errors():
        assert time.monotonic() < deadline_s, rig.notices
        rig.poll(2.0)
        time.sleep(0.005)
    rig.end('a', 3.0)
    rig.begin('b', 4.0)
    rig.end('b', 5.0)
    rig.poll(6.0, wall_s=2.0)
    assert rig.closed(1, 6.0) == ['b']


def attachments(rig: Rig, episode_id: str) -> list[tuple[str, bytes]]:
    with (rig.root / 'episodes' / episode_id / f'{episode_id}_0.mcap').open('rb') as file:
        return [(one.name, one.data) for one in make_reader(file).iter_attachments()]
