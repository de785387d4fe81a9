"""Exactly once, whatever happens: crashes, duplicates, disorder, damage."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import resource
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from lwd_learner.ingest import Ingest, IngestConfig, postponed
from lwd_learner.ingest import ingest as ingest_module
from lwd_learner.replay import Replay, ReplayError
from lwd_recorder.store import StoreError


def episode_id(number: int) -> str:
    return f'g1_01-20250101T0000{number:02d}-0000000{number}'


def content(replay: Replay) -> dict[str, tuple]:
    """Everything that a replay holds of each episode."""
    out = {}
    for dataset in ('offline', 'online'):
        index = replay.index(dataset)
        for episode in replay.episodes(dataset):
            part = slice(episode.start, episode.stop)
            rows = replay.global_rows(dataset, np.arange(episode.start, episode.stop))
            out[episode.episode_id] = (
                dataset,
                episode.task,
                episode.outcome,
                index.stamp_s.data[part].tobytes(),
                index.state.data[part].tobytes(),
                index.action.data[part].tobytes(),
                index.source.data[part].tobytes(),
                (index.limit.data[part] - episode.start).tobytes(),
                replay.jpegs(rows),
            )
    return out


@pytest.fixture
def three(send, hand_made):
    return [
        send(hand_made(episode_id=episode_id(1), kind='demonstration')),
        send(hand_made(episode_id=episode_id(2), outcome='failure')),
        send(hand_made(episode_id=episode_id(3), task='handover')),
    ]


@pytest.fixture
def open_ingest(tmp_path: Path, store, profile):
    opened = []

    def make(folder: str = 'replay') -> tuple[Ingest, Replay]:
        while opened:
            opened.pop().close()  # a killed process lets go of its lock
        replay = Replay.create(tmp_path / folder, profile)
        taker = Ingest(store, replay, profile, tmp_path / folder / 'ingest.jsonl')
        opened.append(taker)
        return taker, replay

    return make


def test_episodes_go_to_their_data_sets_and_are_journalled(three, open_ingest, tmp_path: Path):
    taker, replay = open_ingest()
    results = taker.poll()
    assert [len(replay.episodes(dataset)) for dataset in ('offline', 'online')] == [1, 2]
    assert {r.episode_id: r.dataset for r in results} == {
        episode_id(1): 'offline',
        episode_id(2): 'online',
        episode_id(3): 'online',
    }
    lines = [
        json.loads(line) for line in (tmp_path / 'replay/ingest.jsonl').read_text().splitlines()
    ]
    assert {line['episode_id'] for line in lines} == {m.episode_id for m in three}
    assert all(line['frames'] == 12 and line['sampleable_wall_s'] > 0 for line in lines)
    assert replay.tasks == ['restock', 'handover'] and replay.instructions[1] == 'do the handover'
    assert taker.poll() == []


def test_delivered_again_is_counted_and_ignored(three, open_ingest, resend, store):
    taker, replay = open_ingest()
    taker.poll()
    before = content(replay)
    resend(store, three[1])
    resend(store, three[2], folder=f'robots/g1_09/episodes/2024-12-31/{three[2].episode_id}')
    assert [(r.episode_id, r.duplicate) for r in taker.poll()] == [
        (episode_id(2), True),
        (episode_id(3), True),
    ]
    assert content(replay) == before and taker.poll() == []
    assert open_ingest()[0].poll() == []  # a restart does not count them anew


def test_twice_in_one_poll_is_taken_once(three, open_ingest, resend, store):
    resend(store, three[2], folder=f'robots/g1_09/episodes/2024-12-31/{three[2].episode_id}')
    taker, replay = open_ingest()
    assert [r.duplicate for r in taker.poll()] == [False, False, False, True]
    assert len(replay.episodes('online')) == 2


def test_the_order_of_delivery_does_not_matter(three, open_ingest, resend, store):
    taker, forwards = open_ingest('forwards')
    taker.poll()
    for manifest in reversed(three):
        resend(store, manifest)
    taker, backwards = open_ingest('backwards')
    taker.poll()
    assert [e.episode_id for e in backwards.episodes('online')] == [episode_id(3), episode_id(2)]
    assert content(backwards) == content(forwards)


class KilledError(BaseException):
    """Stands for kill -9: nothing catches it."""


KILL_AT = ('_manifest', '_frames', '_commit', 'append', 'add')


@pytest.mark.parametrize('late', [False, True], ids=['before', 'after'])
@pytest.mark.parametrize('place', KILL_AT)
def test_killed_anywhere_the_replay_is_that_of_one_clean_run(
    three, open_ingest, monkeypatch, place, late
):
    """Die before or after each step of every episode, start again, until it is through."""
    clean, wanted = open_ingest('clean')
    clean.poll()
    target = {'append': Replay, 'add': ingest_module.Journal}.get(place, Ingest)
    original = getattr(target, place)
    count = {'calls': 0, 'deadly': 0}

    def deadly_step(self, *args, **kwargs):
        count['calls'] += 1
        dies = count['calls'] == count['deadly']
        if dies and not late:
            raise KilledError
        answer = original(self, *args, **kwargs)
        if dies:
            raise KilledError
        return answer

    monkeypatch.setattr(target, place, deadly_step)
    kills = 0
    for number in (1, 2, 3, 0):  # the last run is let through
        count.update(calls=0, deadly=number)
        taker, replay = open_ingest()
        try:
            taker.poll()
        except KilledError:
            kills += 1
    assert kills >= 1
    assert content(replay) == content(wanted)
    lines = [json.loads(line) for line in taker.journal.path.read_text().splitlines()]
    assert sorted(line['episode_id'] for line in lines) == [m.episode_id for m in three]
    assert not any(line['duplicate'] for line in lines)


def test_a_journal_line_torn_by_a_crash_is_written_again(three, open_ingest):
    taker, _ = open_ingest()
    taker.poll()
    path = taker.journal.path
    path.write_bytes(path.read_bytes()[:-20])
    taker, replay = open_ingest()
    assert [r.duplicate for r in taker.poll()] == [False]
    assert len(path.read_text().splitlines()) == 3 and len(replay) == 36


def flip(path: Path, at: int = 5000) -> None:
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 0xFF
    path.write_bytes(data)


def mcap(store, manifest) -> Path:
    return store.root / manifest.key_prefix / f'{manifest.episode_id}_0.mcap'


DAMAGE = {
    'bit flip': (lambda s, m: flip(mcap(s, m)), 'sha256'),
    'cut short': (
        lambda s, m: mcap(s, m).write_bytes(mcap(s, m).read_bytes()[:1000]),
        '1000 bytes',
    ),
    'file gone': (lambda s, m: mcap(s, m).unlink(), 'no bytes in the store'),
    'manifest torn': (
        lambda s, m: (s.root / m.key_prefix / 'manifest.json').write_text('{"schema": 1,'),
        'not JSON',
    ),
}


@pytest.mark.parametrize('damage', DAMAGE)
def test_a_damaged_episode_is_set_aside_with_its_reason_and_the_rest_goes_on(
    three, open_ingest, store, damage
):
    inflict, words = DAMAGE[damage]
    inflict(store, three[1])
    taker, replay = open_ingest()
    refused = {r.episode_id: r.quarantined for r in taker.poll() if r.quarantined}
    assert list(refused) == [episode_id(2)] and words in refused[episode_id(2)]
    aside = store.root / 'quarantine' / episode_id(2)
    assert words in (aside / 'reason.txt').read_text()
    assert (aside / 'manifest.json').is_file() and (aside / 'metadata.yaml').is_file()
    assert not (store.root / three[1].key_prefix / 'manifest.json').exists()
    assert sorted(content(replay)) == [episode_id(1), episode_id(3)]
    assert taker.poll() == []


def test_what_is_in_the_bag_is_not_trusted_either(send, hand_made, open_ingest):
    """Right hashes, wrong contents: each is refused by name."""
    wrong = {
        1: (hand_made(joints=['a', 'b', 'c']), 'joint_states lacks the joints'),
        2: (hand_made(missing=range(12)), 'no executed_action of this episode'),
        3: (hand_made(ended_ns=2_000_000_000_000), 'before the end'),
        4: (
            hand_made(
                extra=[('sim/state', 'lwd_msgs/msg/SimState', b'\x00\x01\x00\x00\xff\xff', 10**12)]
            ),
            'a message ends after 6 bytes',
        ),
        5: (
            hand_made(
                extra=[
                    (
                        'camera/head/image/compressed',
                        'sensor_msgs/msg/CompressedImage',
                        b'\x00\x01\x00\x00'
                        + bytes(8)
                        + b'\x01\0\0\0\0\0\0\0' * 2
                        + b'\x04\0\0\0abcd',
                        10**12,
                    )
                ]
            ),
            'head: an image is no valid JPEG',
        ),
    }
    for number, (made, _) in wrong.items():
        made.episode_id = episode_id(number)
        send(made)
    good = send(hand_made(episode_id=episode_id(9)))
    lost_robot = hand_made(ended_ns=2_000_000_000_000, outcome='aborted')
    lost_robot.episode_id = episode_id(8)
    send(lost_robot)  # silent before its end as well, but no verdict hangs on that end
    taker, replay = open_ingest()
    reasons = {r.episode_id: r.quarantined for r in taker.poll()}
    for number, (_, words) in wrong.items():
        assert words in (reasons[episode_id(number)] or ''), reasons[episode_id(number)]
    assert sorted(content(replay)) == [lost_robot.episode_id, good.episode_id]


def test_a_mended_episode_may_come_again(
    three, open_ingest, store, send, hand_made, tmp_path: Path
):
    flip(mcap(store, three[1]))
    taker, replay = open_ingest()
    taker.poll()
    (tmp_path / 'bags' / episode_id(2)).rename(tmp_path / 'old')
    send(hand_made(episode_id=episode_id(2), outcome='failure'))
    assert [(r.episode_id, r.quarantined) for r in taker.poll()] == [(episode_id(2), None)]
    assert episode_id(2) in content(replay)


@pytest.mark.parametrize('restarted', [False, True])
def test_an_episode_put_back_from_quarantine_is_dealt_with_again(
    three, store, profile, tmp_path: Path, restarted
):
    """Refused for the profile that ingest was given, moved back with `mv`, which keeps the write times."""
    other = dataclasses.replace(profile, name='g7')
    taker = Ingest(store, Replay.create(tmp_path / 'wrong', other), other, tmp_path / 'log.jsonl')
    assert all('recorded with profile' in (r.quarantined or '') for r in taker.poll())
    if restarted:
        taker.close()
        replay = Replay.create(tmp_path / 'right', profile)
        taker = Ingest(store, replay, profile, tmp_path / 'log.jsonl')
    assert taker.poll() == []
    for manifest in three:
        subprocess.run(
            ['mv', '-T', f'quarantine/{manifest.episode_id}', manifest.key_prefix],
            cwd=store.root,
            check=True,
        )
    taker._arrivals.look_at_everything()
    results = taker.poll()
    taker.close()
    assert {r.episode_id for r in results} == {m.episode_id for m in three}
    assert all((r.quarantined is None) == restarted for r in results)
    assert [line.key for line in taker.journal.results[:3]] == [line.key for line in results]


def test_a_manifest_in_no_episodes_folder_moves_only_itself(three, open_ingest, store):
    store.put_bytes(b'{}', 'robots/manifest.json')
    taker, replay = open_ingest()
    assert len([r for r in taker.poll() if r.quarantined]) == 1
    assert (
        len(content(replay)) == 3 and (store.root / three[0].key_prefix / 'manifest.json').exists()
    )


def test_a_store_that_fails_loses_nothing(three, open_ingest, store, monkeypatch):
    taker, replay = open_ingest()
    original = type(store).read_bytes

    def failing(self, key):
        if episode_id(2) in key:
            raise StoreError('connection refused')
        return original(self, key)

    monkeypatch.setattr(type(store), 'read_bytes', failing)
    assert len(taker.poll()) == 2 and 'connection refused' in taker.trouble
    monkeypatch.setattr(type(store), 'read_bytes', original)
    assert [r.episode_id for r in taker.poll()] == [episode_id(2)] and taker.trouble is None
    assert len(replay.episodes('online')) == 2


@pytest.mark.parametrize('opening', [1, 2], ids=['hashed', 'read'])
@pytest.mark.parametrize('suffix', ['.mcap', '.yaml'])
def test_a_file_that_cannot_be_read_now_waits_for_the_next_poll(
    three, open_ingest, store, monkeypatch, suffix, opening
):
    """A network folder whose server was started again: the bag is as it was."""
    taker, replay = open_ingest()
    original = Path.open
    opened = 0

    def stale(self: Path, *args: object, **kwargs: object) -> object:
        nonlocal opened
        if self.name.endswith(suffix) and episode_id(2) in str(self):
            opened += 1
            if opened == opening:
                raise OSError(errno.ESTALE, 'Stale file handle', str(self))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Path, 'open', stale)
    assert len(taker.poll()) == 2 and 'Stale file handle' in taker.trouble
    assert episode_id(2) in taker.trouble and mcap(store, three[1]).is_file()
    assert [(r.episode_id, r.quarantined) for r in taker.poll()] == [(episode_id(2), None)]
    assert taker.trouble is None and len(replay.episodes('online')) == 2


@pytest.mark.parametrize('number', [errno.EIO, errno.ENOSPC], ids=['broken block', 'full disk'])
def test_an_episode_that_can_never_be_read_is_tried_ever_more_seldom_and_set_aside(
    three, send, hand_made, open_ingest, store, monkeypatch, number
):
    """Looks come every 5 s, of a clock of the test's own. A full disk is no fault of the episode's."""
    taker, replay = open_ingest()
    now_s, tried = [0.0], []
    monkeypatch.setattr(postponed, 'time', SimpleNamespace(monotonic=lambda: now_s[0]))
    original = Path.open

    def broken(self: Path, *args: object, **kwargs: object) -> object:
        if self.name.endswith('.mcap') and episode_id(2) in str(self):
            tried.append(now_s[0])
            raise OSError(number, os.strerror(number), str(self))
        return original(self, *args, **kwargs)

    def looks(until_s: float) -> list:
        results = []
        while now_s[0] < until_s:
            results += taker.poll()
            now_s[0] += 5.0
        return [r for r in results if r.quarantined is not None]

    with monkeypatch.context() as patch:
        patch.setattr(Path, 'open', broken)
        assert looks(10.0) == [] and len(replay) == 24
        assert taker.trouble and not taker.away  # others could be read
        assert looks(1200.0) == []
        assert tried[:5] == [0.0, 5.0, 10.0, 15.0, 20.0] and len(tried) <= 12
        assert mcap(store, three[1]).is_file()
        send(hand_made(episode_id=episode_id(4)))  # that others are read must be seen
        aside = looks(2400.0)
    if number == errno.ENOSPC:
        assert aside == [] and mcap(store, three[1]).is_file()
        looks(3600.0)
    else:
        assert [r.episode_id for r in aside] == [episode_id(2)]
        assert 'Input/output error' in aside[0].quarantined and 'tries' in aside[0].quarantined
        subprocess.run(
            ['mv', '-T', f'quarantine/{episode_id(2)}', three[1].key_prefix],
            cwd=store.root,
            check=True,
        )
        taker._arrivals.look_at_everything()
        looks(2410.0)
    assert len(replay.episodes('online')) == 3


def test_an_episode_that_was_put_off_and_is_gone_is_forgotten(
    three, open_ingest, store, monkeypatch
):
    taker, _ = open_ingest()
    with monkeypatch.context() as patch:
        patch.setattr(type(store), 'read_bytes', refused)
        assert taker.poll() == [] and taker.away
    shutil.rmtree(store.root / three[1].key_prefix)
    assert len(taker.poll()) == 2 and not taker.away
    assert taker._postponed.due() == set()


def test_a_store_that_cannot_be_listed_is_away(three, open_ingest, store, monkeypatch):
    taker, _ = open_ingest()
    with monkeypatch.context() as patch:
        patch.setattr(type(store), 'list', refused)
        assert taker.poll() == [] and taker.away
    assert len(taker.poll()) == 3 and not taker.away


def refused(store: object, key: str) -> bytes:
    raise StoreError('connection refused')


def test_without_room_for_the_images_an_episode_waits(send, hand_made, open_ingest, store):
    """The system refuses to make a file longer, as a full disk does."""
    manifest = send(hand_made(image_every=1))
    taker, replay = open_ingest()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))
    try:
        assert taker.poll() == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert 'File too large' in taker.trouble and 'TMPDIR' in taker.trouble
    assert mcap(store, manifest).is_file()
    assert [r.quarantined for r in taker.poll()] == [None] and len(replay) == 12


def test_commits_are_batched(three, store, profile, tmp_path: Path):
    replay = Replay.create(tmp_path / 'replay', profile)
    before = replay.version('online')
    Ingest(store, replay, profile, tmp_path / 'ingest.jsonl', IngestConfig()).poll()
    assert replay.version('online') == before + 1


def test_a_second_ingest_on_the_same_replay_is_refused(store, profile, tmp_path: Path):
    replay = Replay.create(tmp_path / 'replay', profile)
    first = Ingest(store, replay, profile, tmp_path / 'ingest.jsonl')
    with pytest.raises(ReplayError, match=r'another ingest writes to .*ingest\.lock'):
        Ingest(store, Replay.open(tmp_path / 'replay'), profile, tmp_path / 'ingest.jsonl')
    first.close()
    Ingest(store, replay, profile, tmp_path / 'ingest.jsonl').close()
