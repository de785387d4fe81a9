"""Batches: exact mix, uniform over tasks, the same again under a seed, resumable, filtered."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from lwd_learner.replay import (
    AdaptiveConfig,
    EpisodeChoice,
    EpisodeFrames,
    Replay,
    ReplayError,
    ReplayLayout,
    Sampler,
    SamplerConfig,
    Transitions,
    both,
    demonstrations_and_human,
    of_episodes,
    rescues_and_successes,
    successful,
)

LAYOUT = ReplayLayout('toy', 30.0, ('j0',), ('j0',), ('eye',))
POLICY, HUMAN = 1, 2


def episode(name: str, sources=(POLICY,) * 12, **facts) -> EpisodeFrames:
    rows = len(sources)
    fields = {
        'episode_id': name,
        'robot_id': 'toy_01',
        'task': 'stack',
        'instruction': 'stack them',
        'kind': 'rollout',
        'outcome': 'success',
        'stamp_s': np.arange(rows) / 30,
        'state': np.arange(rows, dtype=np.float32)[:, None],
        'action': np.arange(rows, dtype=np.float32)[:, None],
        'source': np.array(sources, np.uint8),
        'policy_version': np.zeros(rows, np.int64),
        'jpeg': {'eye': [b'.' if t % 3 == 0 else None for t in range(rows)]},
    }
    return EpisodeFrames(**(fields | facts))


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    replay = Replay.create(tmp_path / 'replay', LAYOUT)
    rescued = (POLICY,) * 6 + (HUMAN,) * 6
    replay.append(
        'offline',
        [
            episode('demo', (HUMAN,) * 12, kind='demonstration'),
            episode('failed demo', (HUMAN,) * 12, kind='demonstration', outcome='failure'),
            *(episode(f'sort {i}', task='sort', outcome='failure') for i in range(9)),
        ],
    )
    replay.append(
        'online',
        [
            episode('rescued', rescued),
            episode('lost', rescued, outcome='failure'),
            episode('alone'),
            episode('alone, lost', outcome='failure'),
        ],
    )
    return replay


def config(**fields) -> SamplerConfig:
    return SamplerConfig(**({'horizon': 4, 'batch_size': 64} | fields))


@pytest.mark.parametrize(('share', 'size'), [(0.5, 64), (0.25, 10), (0.3, 7), (0.0, 8), (1.0, 8)])
def test_the_mix_is_exact(replay: Replay, share: float, size: int):
    """Every batch where the share divides it; over batches otherwise, never more than one off."""
    sampler = Sampler(replay, config(batch_size=size, online_share=share))
    online = np.cumsum([(sampler.sample().dataset == 1).sum() for _ in range(40)])
    np.testing.assert_array_less(np.abs(online - share * size * np.arange(1, 41)), 1.0)


def test_while_one_data_set_is_empty_the_other_gives_all(tmp_path: Path):
    replay = Replay.create(tmp_path / 'replay', LAYOUT)
    sampler = Sampler(replay, config(online_share=0.5))
    with pytest.raises(ReplayError, match='nothing to sample'):
        sampler.sample()
    replay.append('offline', [episode('one')])
    assert sampler.refresh() == 4
    assert (sampler.sample().dataset == 0).all()
    replay.append('online', [episode('two')])
    sampler.refresh()
    assert (sampler.sample().dataset == 1).sum() == 32


def test_tasks_are_drawn_alike_whatever_their_size(replay: Replay):
    """Nine times as many frames of one task do not make it nine times as frequent."""
    batch = Sampler(replay, config(batch_size=8000)).sample()
    assert (batch.task_id == 0).mean() == pytest.approx(0.5, abs=0.03)
    within = np.bincount(batch.episode[batch.task_id == 1])[2:]
    assert within.min() > 0.7 * within.max()


def test_the_same_seed_gives_the_same_batches(replay: Replay):
    def batches(seed: int) -> list[list[int]]:
        sampler = Sampler(replay, config(online_share=0.5, seed=seed))
        return [sampler.sample().start.tolist() for _ in range(5)]

    assert batches(1) == batches(1) != batches(2)


def test_it_goes_on_where_it_stopped_even_if_the_replay_grew(tmp_path: Path):
    """The state goes through JSON, as in a checkpoint."""
    replay = Replay.create(tmp_path / 'replay', LAYOUT)
    replay.append('online', [episode('one'), episode('two', task='sort')])
    replay.append('offline', [episode('three', task='sort'), episode('four')])
    sampler = Sampler(replay, config(batch_size=9, online_share=0.3, seed=5))
    for _ in range(3):
        sampler.sample()
    state = json.loads(json.dumps(sampler.state_dict()))
    expected = [sampler.sample().start.tolist() for _ in range(5)]
    replay.append('online', [episode('later')])
    reopened = Replay.open(replay.uri)
    assert reopened.tasks != replay.tasks  # numbers of tasks differ: the draws go by name
    resumed = Sampler(reopened, config(batch_size=9, online_share=0.3, seed=0))
    resumed.load_state_dict(state)
    assert [resumed.sample().start.tolist() for _ in range(5)] == expected
    assert resumed.refresh() == 4
    state['rows']['online'] = 10**6
    with pytest.raises(ReplayError, match='the sampler had seen 1000000'):
        resumed.load_state_dict(state)


@pytest.mark.parametrize(
    ('where', 'offline', 'online'),
    [
        (successful, {'demo': 4}, {'rescued': 4, 'alone': 4}),
        (rescues_and_successes, {'demo': 4}, {'rescued': 2, 'alone': 4}),
        (demonstrations_and_human, {'demo': 4}, {'rescued': 2, 'lost': 2}),
        (lambda rows: rows.policy_version > 0, {}, {}),
        (of_episodes(EpisodeChoice(robot=('toy_02',))), {}, {}),
        (
            both(successful, of_episodes(EpisodeChoice(task=('stack',), robot=('toy_01',)))),
            {'demo': 4},
            {'rescued': 4, 'alone': 4},
        ),
    ],
)
def test_filters_choose_rows(replay: Replay, where, offline, online):
    sampler = Sampler(replay, config(), where)
    for dataset, expected in (('offline', offline), ('online', online)):
        local = sampler.start_rows(dataset) & ((1 << 40) - 1)
        numbers = replay.index(dataset).episode.data[local]
        found = [replay.episodes(dataset)[number].episode_id for number in numbers]
        assert {name: found.count(name) for name in found} == expected
        assert sampler.size(dataset) == sum(expected.values())


def test_both_data_sets_in_one_batch_read_their_own_rows(replay: Replay):
    """Row 3 of offline and row 3 of online are different frames."""
    batch = Transitions(replay, 4).read(
        np.array(
            [
                replay.global_rows('online', np.array([9]))[0],
                replay.global_rows('offline', np.array([9]))[0],
            ]
        )
    )
    assert batch.dataset.tolist() == [1, 0]
    assert batch.human.tolist() == [True, True] and batch.success.tolist() == [True, True]
    assert [
        replay.episodes(d)[e].episode_id
        for d, e in zip(('online', 'offline'), batch.episode, strict=True)
    ] == [
        'rescued',
        'demo',
    ]
    assert batch.mask.sum(axis=1).tolist() == [3, 3] and batch.discount.tolist() == [0, 0]


def test_gamma_holds_per_second(tmp_path: Path):
    """At 10 Hz one step lasts as long as three at 30 Hz."""
    slow = ReplayLayout('slow', 10.0, ('j0',), ('j0',), ('eye',))
    replay = Replay.create(tmp_path / 'replay', slow)
    replay.append('online', [episode('one', stamp_s=np.arange(12) / 10)])
    batch = Transitions(replay, 2, gamma=0.9).read(replay.global_rows('online', np.array([0])))
    assert batch.discount[0] == pytest.approx(0.9**6)


def test_bad_settings_are_refused(replay: Replay):
    with pytest.raises(ReplayError, match=r'online_share 1\.5'):
        SamplerConfig(online_share=1.5)
    with pytest.raises(ReplayError, match='horizon 0'):
        Sampler(replay, SamplerConfig(horizon=0))


def test_one_thread_samples_while_another_appends(tmp_path: Path):
    """Batches are whole transitions of whole episodes throughout: every value in them belongs to its row."""
    replay = Replay.create(tmp_path / 'replay', LAYOUT)
    replay.append('online', [episode('e0')])
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for number in range(1, 40):
                rows = 12
                replay.append(
                    'online',
                    [
                        episode(
                            f'e{number}',
                            state=np.full((rows, 1), number, np.float32),
                            policy_version=np.full(rows, number),
                        )
                    ],
                )
        except BaseException as error:
            failures.append(error)
            raise

    writer = Thread(target=write)
    writer.start()
    sampler = Sampler(replay, config())
    while writer.is_alive() or sampler.refresh():
        sampler.refresh()
        batch = sampler.sample()
        later = batch.episode > 0
        np.testing.assert_array_equal(batch.state[later, 0], batch.episode[later])
        np.testing.assert_array_equal(batch.policy_version, batch.episode)
        assert replay.jpegs(batch.row)[0] == [b'.']
    writer.join()
    assert not failures and len(replay) == 480 and sampler.size('online') == 160


def test_the_adaptive_share_follows_the_losses_of_each_task(replay: Replay):
    """algorithm.md, section 4: a task that is bad online draws more of it, within bounds; the rest stays."""
    window = AdaptiveConfig(window=10)
    sampler = Sampler(replay, config(batch_size=400, online_share=0.5, adaptive=window))

    def share_of(task: str) -> float:
        batch = sampler.sample()
        of = batch.task_id == replay.tasks.index(task)
        return float((batch.dataset[of] == 1).mean())

    assert share_of('stack') == pytest.approx(0.5, abs=0.01)
    assert share_of('sort') == 0.0  # there is none of it online
    for _ in range(10):
        batch = sampler.sample()
        sampler.report(batch, np.where(batch.dataset == 1, 1.0, 0.2))
    expected = np.exp(1.0) / (np.exp(1.0) + np.exp(0.2))
    assert share_of('stack') == pytest.approx(expected, abs=0.01)
    state = json.loads(json.dumps(sampler.state_dict()))
    for loss, bound in ((50.0, 0.8), (-50.0, 0.2), (float('nan'), 0.2)):
        for _ in range(10):
            batch = sampler.sample()
            sampler.report(batch, np.where(batch.dataset == 1, loss, 0.0))
        assert share_of('stack') == pytest.approx(bound, abs=0.01)
    resumed = Sampler(replay, config(batch_size=400, online_share=0.5, adaptive=window))
    resumed.load_state_dict(state)
    assert resumed.shares is not None
    assert resumed.shares.share('stack') == pytest.approx(expected)
    with pytest.raises(ReplayError, match='adaptive share'):
        AdaptiveConfig(least=0.9)
