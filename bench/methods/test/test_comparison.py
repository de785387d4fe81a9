"""The comparison's logic: what is done in which order, what is gone on with, and what the tables say."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from lwd_learner.evaluation.rollout import EVALUATION_SEED0
from lwd_learner.training.config import TrainConfig

from bench.methods.config import (
    DEMONSTRATION_SEED0,
    HELD_OUT_SEED0,
    TEST_SEED0,
    CompareConfig,
)
from bench.methods.entries import ENTRIES, METHOD_NAMES
from bench.methods.queue import evaluated, jobs, left, refuse_overtaken
from bench.methods.report import draw, tables
from bench.methods.results import Results
from bench.methods.roll_out import Plans
from bench.methods.rounds import ROBOT, forget_later, scene_seeds
from bench.methods.run import run


def line(method: str, seed: int, k: int, round_: int = 0) -> dict:
    return {
        'task': 'restock',
        'method': method,
        'seed': seed,
        'round': round_,
        'machine': '2 cores',
        'cpu_s': 1.0,
        'test': {'k': k, 'n': 100, 'cycle_s': 3.0},
    }


def test_all_methods_of_the_first_task_and_seed_come_first(tmp_path):
    config = CompareConfig(folder=tmp_path, rounds=2)
    order = list(jobs(config))
    assert [job.method for job in order[: len(METHOD_NAMES)]] == list(METHOD_NAMES)
    first = [job for job in order if (job.task, job.seed) == ('restock', 0)]
    assert order[: len(first)] == first
    assert {job.round for job in first} == {0, 1, 2}
    assert not any(job.round for job in first if job.method == 'sft')
    best = [job for job in first if job.method == 'lwd, best of 8']
    assert [job.round for job in best] == [0, 2]  # where its policy is evaluated
    assert len({job.key for job in order}) == len(order)
    for method, expected in (('lwd', [True, False, True]), ('hg_dagger', [False, False, True])):
        found = [evaluated(config, job) for job in first if job.method == method]
        assert found == expected, method


def test_offline_only_leaves_the_rounds_to_a_later_run_of_the_same_folder(tmp_path):
    config = CompareConfig(folder=tmp_path, rounds=2, offline_only=True)
    offline = list(jobs(config))
    assert {job.round for job in offline} == {0}
    Results(tmp_path).claim(config)
    whole = CompareConfig(folder=tmp_path, rounds=2)
    Results(tmp_path).claim(whole)
    assert left(whole, {job.key for job in offline}) == [job for job in jobs(whole) if job.round]


def test_what_has_a_line_is_not_done_again(tmp_path):
    config = CompareConfig(folder=tmp_path, seeds=(0,), tasks=('restock',), rounds=0)
    asked = []

    class Counting:
        def __init__(self, _config, results):
            self.results = results

        def do(self, job):
            if len(asked) == 3:
                raise KeyboardInterrupt
            asked.append(job.method)
            self.results.add(line(job.method, job.seed, 1))

        def close(self):
            pass

    with pytest.raises(KeyboardInterrupt):
        run(config, Counting)
    with (tmp_path / 'results.jsonl').open('a') as file:
        file.write('{"task": "rest')  # a kill in the middle of a line
    assert len(left(config, Results(tmp_path).done())) == len(METHOD_NAMES) - 3
    asked.clear()
    with pytest.raises(KeyboardInterrupt):
        run(config, Counting)
    assert asked == list(METHOD_NAMES[3:6])
    assert len(Results(tmp_path).lines()) == 6


def test_a_repeated_round_takes_nothing_of_the_rounds_after_it(tmp_path):
    """Lines are repeated by removing them: what other policies acted must not be learned from."""
    config, folder = CompareConfig(folder=tmp_path), tmp_path / 'lwd'
    episodes = folder / 'store' / 'robots' / ROBOT / 'episodes' / '2026-01-01'
    kept = [folder / 'checkpoints' / name for name in ('sft', 'round_0', 'round_1')]

    def acted() -> None:
        for round_ in (1, 2, 3):
            for scene in scene_seeds(config, 5, round_)[:2]:
                (episodes / f'{ROBOT}-restock-{scene}').mkdir(parents=True, exist_ok=True)
        for place in (folder / 'data', *kept):
            place.mkdir(parents=True, exist_ok=True)

    acted()
    forget_later(config, folder, 5, 3)  # interrupted in the last round
    assert len(list(episodes.iterdir())) == 6 and (folder / 'data').exists()
    forget_later(config, folder, 5, 2)
    scenes = {int(path.name.split('-')[-1]) for path in episodes.iterdir()}
    assert scenes == {*scene_seeds(config, 5, 1)[:2], *scene_seeds(config, 5, 2)[:2]}
    assert not (folder / 'data').exists() and all(path.exists() for path in kept)
    acted()
    forget_later(config, folder, 5, 0)
    assert [path.name for path in folder.iterdir()] == ['checkpoints']
    assert [path.name for path in (folder / 'checkpoints').iterdir()] == ['sft']


def test_a_line_whose_policy_would_be_made_anew_is_refused(tmp_path):
    methods = ('sft', 'filtered_bc', 'lwd', 'lwd, best of 8', 'filtered_bc, best of 8')
    config = CompareConfig(tmp_path, ('restock',), (0,), methods, rounds=2)
    done = {job.key for job in jobs(config)}
    for _, name, seed, at in done - {('restock', 'lwd', 0, 2)}:
        Results(tmp_path).add(line(name, seed, 1, at))
    why = r"'filtered_bc, best of 8' has a line for round 2, but 'lwd'.*none for round 2.*Remove"
    with pytest.raises(ValueError, match=why):
        run(config, lambda *_: pytest.fail('began'))
    middle = {key for key in done if key[1] == 'lwd' and key[3] != 1}
    with pytest.raises(ValueError, match=r"'lwd' has a line for round 2, but 'lwd'.*for round 1"):
        refuse_overtaken(left(config, middle), middle)
    of_lwd = {key for key in done if key[1] != 'filtered_bc' and key[1:3] != ('sft', 0)}
    refuse_overtaken(left(config, done - of_lwd), done - of_lwd)
    last = {key for key in done if key[3] == 2}  # not evaluated yet
    refuse_overtaken(left(config, done - last), done - last)
    only_tested = {('restock', 'lwd, best of 8', 0, 0)}
    refuse_overtaken(left(config, done - only_tested), done - only_tested)


def test_a_folder_holds_one_comparison(tmp_path):
    config = CompareConfig(folder=tmp_path)
    Results(tmp_path).claim(config)
    Results(tmp_path).claim(replace(config, seeds=(3,), methods=('sft',)))
    with pytest.raises(ValueError, match='test_episodes 100, not 50'):
        Results(tmp_path).claim(replace(config, test_episodes=50))


def test_unknown_methods_and_missing_needs_are_named(tmp_path):
    with pytest.raises(ValueError, match="'ppo' is not one of"):
        list(jobs(CompareConfig(folder=tmp_path, methods=('ppo',))))
    with pytest.raises(ValueError, match="needs 'sft' before it"):
        list(jobs(CompareConfig(folder=tmp_path, methods=('late lwd', 'sft, best of 8'))))
    with pytest.raises(ValueError, match='rounds is -1'):
        CompareConfig(folder=tmp_path, rounds=-1)


@pytest.mark.parametrize('name', list(ENTRIES))
def test_each_entry_is_a_configuration_of_train(name):
    applied = ENTRIES[name].applied(TrainConfig())
    assert applied.algorithm == ENTRIES[name].algorithm
    for dotted, value in ENTRIES[name].flags.items():
        held = applied
        for part in dotted.split('.'):
            held = getattr(held, part)
        assert held == value
    assert replace(applied, algorithm='lwd') == TrainConfig() or ENTRIES[name].flags


def test_scenes_are_used_for_one_purpose(tmp_path):
    config = CompareConfig(folder=tmp_path, demonstrations=5000, held_out=5000)
    rounds = [scene_seeds(config, seed, r) for seed in (0, 1, 2) for r in (1, 2, 3)]
    ranges = [
        range(DEMONSTRATION_SEED0, DEMONSTRATION_SEED0 + config.demonstrations),
        range(HELD_OUT_SEED0, HELD_OUT_SEED0 + config.held_out),
        *rounds,
        range(EVALUATION_SEED0, EVALUATION_SEED0 + 10_000_000),  # what people tune on
        range(TEST_SEED0, TEST_SEED0 + 10_000),
    ]
    ordered = sorted(ranges, key=lambda r: r.start)
    assert all(a.stop <= b.start for a, b in itertools.pairwise(ordered))


def test_plans_are_used_by_time_and_forgotten_when_a_human_acts():
    plans = Plans(replan_steps=3, latency_steps=1)
    made = {t: np.arange(t, t + 8, dtype=float)[:, None] + 100 * t for t in (0, 3)}
    used = []
    for tick in range(5):
        if plans.due(tick):
            plans.add(tick, made[tick])
        used.append(float(plans.action(tick)[0]))
    assert used == [0, 1, 2, 3, 304]  # the plan of tick 3 is used from tick 4 on
    plans.forget()
    assert plans.due(5)
    plans.add(5, np.full((8, 1), 7.0))
    assert plans.action(5)[0] == 7.0


def test_tables_pool_seeds_and_say_when_there_is_nothing():
    assert tables([], {}) == 'No results yet.\n'
    digest = {'policy_sha256': '0'}
    lines = [line('lwd', 1, 40) | digest, line('lwd', 0, 60), line('sft', 0, 50) | digest]
    text = tables(lines, {'play': 0})
    rows = [row for row in text.splitlines() if row.startswith('| restock')]
    assert rows[0].startswith(
        '| restock | sft | 0 | 50/100 = 0.50 (0.40-0.60); by seed 0.50 | 3 |'
    )
    assert rows[1].startswith('| restock | lwd † | 0 |')  # one of its policies is not known
    assert '100/200 = 0.50 (0.43-0.57); by seed 0.60, 0.40' in rows[1]
    assert 'play 0' in text
    json.dumps(text)


def test_a_picture_is_drawn_of_what_was_evaluated(tmp_path):
    lines = [line('lwd', 0, 60), line('lwd', 0, 80, 3), line('sft', 0, 0)]
    draw([*lines, {k: v for k, v in line('iql', 0, 1).items() if k != 'test'}], tmp_path / 'a.png')
    assert (tmp_path / 'a.png').read_bytes().startswith(b'\x89PNG')
