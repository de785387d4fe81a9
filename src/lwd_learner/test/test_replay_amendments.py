"""Verdicts corrected and episodes taken out afterwards: new versions, the old ones kept, no row moved."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from lwd_learner.replay import (
    EpisodeChoice,
    Replay,
    ReplayConfig,
    ReplayError,
    ReplayLayout,
    Sampler,
    SamplerConfig,
    Transitions,
    of_episodes,
    successful,
)
from lwd_learner.replay import command as replay_command

sys.path.insert(0, str(Path(__file__).parent))
from toy_replay import LAYOUT, assert_same, columns, episode

HOUR_S = 3600.0
NOON_S = 1_764_331_200.0
"""2025-11-28T12:00Z."""


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    replay = Replay.create(tmp_path / 'replay', LAYOUT)
    replay.append('offline', [episode(1, kind='demonstration', ended_wall_s=NOON_S)])
    for number in range(2, 6):
        facts = {'task': 'sort' if number % 2 else 'stack', 'robot_id': f'toy_0{number}'}
        replay.append('online', [episode(number, ended_wall_s=NOON_S + number * HOUR_S, **facts)])
    return replay


def windows(replay: Replay) -> list[tuple[int, float, float]]:
    """(start row, reward, discount) of every transition of the online data."""
    transitions = Transitions(replay, horizon=4)
    batch = transitions.read(replay.global_rows('online', transitions.starts('online')))
    rows = batch.start & ((1 << 40) - 1)
    return list(zip(rows.tolist(), batch.reward.tolist(), batch.discount.tolist(), strict=True))


@pytest.mark.parametrize('outcome', ['failure', 'aborted', 'unknown'])
def test_a_relabelled_replay_is_one_that_was_labelled_so_from_the_start(
    replay: Replay, tmp_path: Path, outcome: str
):
    replay.relabel(['e3', 'e5'], outcome, by='anna', why='the can stood beside the bin')
    fresh = Replay.create(tmp_path / 'fresh', LAYOUT)
    fresh.append('offline', [episode(1, kind='demonstration', ended_wall_s=NOON_S)])
    for number in range(2, 6):
        facts = {'task': 'sort' if number % 2 else 'stack', 'robot_id': f'toy_0{number}'}
        ended = outcome if number in (3, 5) else 'success'
        when = NOON_S + number * HOUR_S
        fresh.append('online', [episode(number, outcome=ended, ended_wall_s=when, **facts)])
    assert_same(replay, fresh)
    assert_same(Replay.open(replay.uri), fresh)
    assert windows(replay) == windows(fresh)
    last = replay.amendments()[-1]
    assert (last.episode_id, last.before, last.outcome) == ('e5', 'success', outcome)
    assert (last.by, last.why) == ('anna', 'the can stood beside the bin')


def test_the_old_version_is_kept_and_readers_move_when_they_refresh(replay: Replay):
    before = replay.snapshot()
    reader = Replay.open(replay.uri)
    kept = columns(reader, 'online')
    first = replay.relabel(['e2'], 'failure')
    second = replay.relabel(['e2'], 'success')
    assert [before['amendments'], first, second] == [0, 1, 2]
    for name, column in columns(reader, 'online').items():
        np.testing.assert_array_equal(column, kept[name])

    def outcome(versions) -> str:
        return Replay.open(replay.uri, versions=versions).find('e2')[1].outcome

    assert outcome(before) == 'success' and outcome({'amendments': 1}) == 'failure'
    assert outcome(replay.snapshot()) == 'success'
    assert reader.refresh({**before, 'amendments': 1}) == 0
    assert reader.find('e2')[1].outcome == 'failure'
    with pytest.raises(ReplayError, match='cannot move from version 1 to 0'):
        reader.refresh(before)


def test_samplers_follow_a_verdict_without_being_told(replay: Replay):
    """A filter that the rows no longer pass, and a last row that has no step any more."""
    reader = Replay.open(replay.uri)
    config = SamplerConfig(batch_size=256, horizon=1, online_share=1.0)
    good, every = Sampler(reader, config, successful), Sampler(reader, config)
    assert set(good.sample().state[:, 0]) == {2.0, 3.0, 4.0, 5.0}
    replay.relabel(['e2'], 'aborted')
    replay.prune(['e3'])
    reader.refresh()
    assert set(good.sample().state[:, 0]) == {4.0, 5.0}
    batch = every.sample()
    assert set(batch.state[:, 0]) == {2.0, 4.0, 5.0} and batch.mask.all()
    assert not batch.reward[batch.state[:, 0] == 2.0].any()
    assert every.size('online') == 15 and good.size('online') == 10


def test_sampling_beside_a_thread_that_amends_is_never_half_old(replay: Replay):
    reader = Replay.open(replay.uri)
    sampler = Sampler(reader, SamplerConfig(batch_size=128, horizon=2, online_share=1.0))
    done = Event()

    def amend() -> None:
        for number in range(40):
            replay.relabel(['e2', 'e4'], ('aborted', 'success')[number % 2])
            reader.refresh()
        done.set()

    thread = Thread(target=amend)
    thread.start()
    batches = 0
    while not done.is_set() or batches < 10:
        batch = sampler.sample()
        assert batch.mask[:, 0].all()
        np.testing.assert_array_equal(batch.next_state, batch.state)  # never another episode's
        rewarded = batch.reward > 0
        assert not (batch.discount[rewarded] > 0).any()
        batches += 1
    thread.join()


def test_a_pruned_episode_is_gone_but_known_and_its_images_are_freed(replay: Replay, monkeypatch):
    rows = replay.global_rows('online', np.arange(40))
    stays = np.concatenate([rows[:10], rows[20:]])
    before = replay.jpegs(stays)
    replay.prune(['e3'], why='blurred')
    assert [facts.episode_id for facts in replay.kept('online')] == ['e2', 'e4', 'e5']
    assert len(replay.episodes('online')) == 4 and replay.has_episode('e3')
    with pytest.raises(ReplayError, match='already in'):
        replay.append('online', [episode(3)])
    with pytest.raises(ReplayError, match='e3 was pruned'):
        replay.relabel(['e3'], 'success')
    with pytest.raises(ReplayError, match="holds no episode 'e9'"):
        replay.prune(['e9'])
    assert not set(replay.all_image_rows('online')) & set(rows[10:20])
    old = Replay.open(replay.uri)
    monkeypatch.setattr('lwd_learner.replay.dataset.KEEP_OLD_VERSIONS_S', 3600.0)
    replay.compact()
    assert old.jpegs(rows)[10] == [b'3/0/left', b'3/0/right']  # a reader of the old snapshot
    fresh = Replay.open(replay.uri)
    assert fresh.jpegs(stays) == before
    assert_same(fresh, replay)
    with pytest.raises(ReplayError, match='row 10 holds no new frame of left'):
        fresh.jpegs(rows[10:11])
    assert [entry.freed for entry in replay.amendments()] == [False, True]
    version = replay.snapshot()
    replay.compact()
    assert replay.snapshot() == version  # nothing left to do


def test_episodes_that_come_after_their_amendment_have_it(replay: Replay):
    """A reader of older rows may hold newer amendments."""
    old = replay.snapshot()
    replay.append('online', [episode(6)])
    replay.relabel(['e6'], 'failure')
    reader = Replay.open(replay.uri, versions={k: old[k] for k in ('offline', 'online')})
    assert not reader.has_episode('e6')
    reader.refresh()
    assert reader.find('e6')[1].outcome == 'failure'
    assert_same(reader, replay)


def test_a_part_is_chosen_by_task_robot_date_and_weights(replay: Replay):
    def ids(**fields) -> list[str]:
        choice = EpisodeChoice(**fields)
        kept = [facts for name in ('offline', 'online') for facts in replay.kept(name)]
        return [facts.episode_id for facts in kept if choice.accepts(facts)]

    assert ids(task=('sort',)) == ['e3', 'e5'] and ids(robot=('toy_02', 'toy_01')) == ['e1', 'e2']
    assert ids(since='2025-11-28T15:00') == ['e3', 'e4', 'e5']
    assert ids(until='2025-11-28T15:00Z') == ['e1', 'e2']
    assert ids(since='2025-11-28T15:00+01:00', until='2025-11-28T16:00') == ['e2', 'e3']
    assert ids(since='2025-11-29') == [] and ids(policy_below=4) == ['e1', 'e2', 'e3']
    assert ids(kind=('demonstration',)) == ['e1'] and ids(outcome=('failure',)) == []
    with pytest.raises(ReplayError, match="'yesterday' is no date"):
        EpisodeChoice(since='yesterday')
    replay.append('online', [episode(7)])  # nobody knows when
    assert 'e7' not in ids(until='2040-01-01') and 'e7' not in ids(since='1970-01-01T00:00:01')
    sampler = Sampler(
        replay,
        SamplerConfig(batch_size=64, horizon=1, online_share=1.0),
        of_episodes(EpisodeChoice(since='2025-11-28T16:00')),
    )
    assert set(sampler.sample().state[:, 0]) == {4.0, 5.0}


def test_a_replay_without_dates_is_read_and_appended_to(tmp_path: Path):
    """As they were before `ended_wall_s`."""
    old = ReplayLayout(
        'toy', 30.0, LAYOUT.joint_names, LAYOUT.state_columns, LAYOUT.cameras, schema=1
    )
    assert 'ended_wall_s' not in old.arrow_schema().names
    Replay.create(tmp_path / 'old', old).append('online', [episode(1)])
    replay = Replay.create(tmp_path / 'old', LAYOUT)
    replay.append('online', [episode(2, ended_wall_s=NOON_S)])
    assert_same(replay, Replay.open(replay.uri))
    assert [facts.ended_wall_s for facts in replay.episodes('online')] == [0.0, 0.0]


def test_commands_relabel_prune_and_tell(replay: Replay, capsys):
    def run(*args: str) -> str:
        assert replay_command.main([*args]) == 0
        return capsys.readouterr().out

    where = ['--dir', replay.uri]
    said = run('relabel', 'e2', 'e3', '--outcome', 'failure', '--why', 'looked again', *where)
    assert 'e2: success -> failure' in said and '2 of 2 changed; amendments version 1' in said
    assert 'would be pruned; repeat with --yes' in run('prune', replay.uri, '--outcome', 'failure')
    dry = json.loads(run('prune', replay.uri, '--keep-hours', '0.00014', '--json'))
    assert (
        dry['episodes'] == ['e1', 'e2', 'e3'] and not dry['pruned']
    )  # the newest of each task stays
    assert json.loads(run('stats', replay.uri, '--json'))['datasets']['online']['pruned'] == 0
    run('prune', replay.uri, '--policy-below', '4', '--task', 'sort', '--yes')
    stats = json.loads(run('stats', replay.uri, '--json'))['datasets']['online']
    assert (stats['pruned'], stats['episodes'], stats['frames']) == (1, 3, 30)
    assert stats['outcomes'] == {'failure': 1, 'success': 2}
    run('compact', replay.uri)
    listed = run('amendments', replay.uri)
    assert 'e3: pruned' in listed and 'e3: images deleted' in listed and 'looked again' in listed
    assert replay_command.main(['prune', replay.uri]) == 1
    assert 'nothing says what may go' in capsys.readouterr().err


def test_a_replay_that_only_writes_keeps_episodes_and_no_rows(replay: Replay):
    """Ingest runs for weeks: its memory must not grow with rows; what it appends, corrects and merges is the same."""
    writer = Replay.open(
        replay.uri, config=ReplayConfig(index_rows=False, low_dimensional_bytes=0)
    )
    assert writer.episodes('online') == replay.episodes('online')
    writer.append('online', [episode(6)])
    writer.relabel(['e3'], 'failure')
    writer.compact()
    replay.refresh()
    assert writer.episodes('online') == replay.episodes('online')
    assert len(writer.index('online')) == len(replay.index('online'))
    assert len(writer.index('online').limit) == 0
    assert_same(Replay.open(replay.uri), replay)
