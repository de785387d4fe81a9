"""Evaluating once more: which lines, from which files, and what is refused."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from lwd_learner.evaluation.rollout import EpisodeResult

from bench.methods.checkpoints import actor_of, method_folder
from bench.methods.confirm import ConfirmConfig, confirm
from bench.methods.queue import Job
from bench.methods.report import on_other_scenes
from bench.methods.results import CONFIRMED, Results

METHODS = ('sft', 'lwd', 'lwd, best of 8')


class Submitted:
    """An evaluator that notes what it was asked for; every second episode is a success."""

    def __init__(self) -> None:
        self.asked: list[tuple[Path, Path | None, int]] = []

    def submit(
        self,
        policy: Path,
        *,
        tasks: tuple[str, ...],
        episodes: int,
        seed0: int,
        critic: Path | None,
        best_of: int,
    ) -> list[Future[list[EpisodeResult]]]:
        self.asked.append((policy, critic, best_of))
        future: Future[list[EpisodeResult]] = Future()
        seeds = range(seed0, seed0 + episodes)
        future.set_result([EpisodeResult(tasks[0], s, s % 2 == 0, 1.0, 3.0) for s in seeds])
        return [future]


@pytest.fixture
def compared(tmp_path):
    """Lines and checkpoints of two seeds; LWD's first round was not evaluated."""
    results = Results(tmp_path)
    for seed in (1, 0):
        for method, round_ in (
            ('sft', 0),
            ('lwd', 0),
            ('lwd', 1),
            ('lwd', 2),
            ('lwd, best of 8', 2),
        ):
            key = {'task': 'restock', 'method': method, 'seed': seed, 'round': round_}
            results.add(key | ({} if round_ == 1 else {'test': {'k': 1, 'n': 2}}))
            if 'best' not in method:
                at = (
                    method_folder(tmp_path, 'restock', seed, method)
                    / 'checkpoints'
                    / f'round_{round_}'
                )
                at.mkdir(parents=True)
                for name in ('policy.safetensors', 'learner.safetensors'):
                    (at / name).touch()
    return tmp_path


def of(folder: Path, **changes: Any) -> ConfirmConfig:
    return ConfirmConfig(folder, **{'methods': METHODS, 'episodes': 4} | changes)


def test_all_evaluated_lines_are_evaluated_seed_by_seed_and_only_once(compared):
    evaluator = Submitted()
    confirm(of(compared), evaluator)  # type: ignore[arg-type]
    lines = Results(compared, CONFIRMED).lines()
    assert [(r['seed'], r['round'], r['method']) for r in lines[:4]] == [
        (0, 0, 'lwd'),
        (0, 0, 'sft'),
        (0, 2, 'lwd'),
        (0, 2, 'lwd, best of 8'),
    ]
    assert len(lines) == 8
    at = compared / 'runs' / 'restock_0' / 'lwd' / 'checkpoints' / 'round_2'
    policy, critic = at / 'policy.safetensors', at / 'learner.safetensors'
    assert evaluator.asked[2:4] == [(policy, None, 1), (policy, critic, 8)]
    again = Submitted()
    confirm(of(compared), again)  # type: ignore[arg-type]
    assert not again.asked and Results(compared, CONFIRMED).lines() == lines
    table = on_other_scenes(lines, Results(compared).lines())
    assert '900,000,000 to 900,000,003' in table
    assert (
        '| restock | lwd, best of 8 | 2 | 4/8 = 0.50 (0.22-0.78); by seed 0.50, 0.50 | 3 |'
        in table
    )


def same_policies(folder: Path) -> list[str]:
    """Headings of the report's tables of confirmed lines."""
    lines = Results(folder, CONFIRMED).lines()
    text = on_other_scenes(lines, Results(folder).lines())
    return [row for row in text.splitlines() if 'cenes 900,000,000' in row]


def with_digests(folder: Path) -> list[dict[str, Any]]:
    """The comparison's lines, now with what they are of, as `run` writes them."""
    lines = Results(folder).lines()
    (folder / 'results.jsonl').unlink()
    for line in lines:
        job = Job(line['task'], line['method'], line['seed'], line['round'])
        Results(folder).add(line | actor_of(folder, job).digests())
    return Results(folder).lines()


def test_the_report_says_which_lines_are_of_the_same_policies(compared):
    confirm(of(compared, methods=('sft',)), Submitted())  # type: ignore[arg-type]
    assert len(same_policies(compared)) == 1
    assert 'do not say of which policies' in same_policies(compared)[0]
    best = [line for line in with_digests(compared) if line['method'] == 'lwd, best of 8']
    assert all(len(line['policy_sha256']) == len(line['critic_sha256']) == 64 for line in best)
    confirm(of(compared), Submitted())  # type: ignore[arg-type]
    (same,) = same_policies(compared)
    assert same.startswith('The same policies on scenes')
    older = Results(compared, CONFIRMED).lines()
    (compared / CONFIRMED).unlink()
    for line in older:
        kept = {k: v for k, v in line.items() if line['method'] != 'lwd' or 'sha256' not in k}
        Results(compared, CONFIRMED).add(kept)
    headings = same_policies(compared)
    assert [h.startswith('The same policies on') for h in headings] == [True, False]


def test_a_policy_that_was_trained_anew_is_noticed(compared):
    with_digests(compared)
    confirm(of(compared, methods=('lwd',)), Submitted())  # type: ignore[arg-type]
    at = compared / 'runs' / 'restock_0' / 'lwd' / 'checkpoints' / 'round_2'
    (at / 'policy.safetensors').write_bytes(b'another')
    with pytest.raises(
        ValueError, match=r"policy\.safetensors.* is not the one .* 'lwd, best of 8'"
    ):
        confirm(of(compared), Submitted())  # type: ignore[arg-type]
    with_digests(compared)  # its lines were made anew, too
    with pytest.raises(ValueError, match=r"confirmed\.jsonl .* 'lwd'.* seed 0, round 2 .*remove"):
        confirm(of(compared), Submitted())  # type: ignore[arg-type]
    assert any('other policies' in heading for heading in same_policies(compared))


def test_only_the_rounds_that_were_asked_for_are_evaluated(compared):
    confirm(of(compared, rounds=(2,)), Submitted())  # type: ignore[arg-type]
    assert {line['round'] for line in Results(compared, CONFIRMED).lines()} == {2}


def test_a_missing_checkpoint_other_scenes_and_unknown_methods_are_named(compared):
    confirm(of(compared, methods=('sft',)), Submitted())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r'is of scenes \[900000000, 900000003\], not'):
        confirm(of(compared, episodes=5), Submitted())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'ppo' is not one of"):
        confirm(of(compared, methods=('ppo',)), Submitted())  # type: ignore[arg-type]
    gone = (
        compared / 'runs' / 'restock_0' / 'lwd' / 'checkpoints' / 'round_0' / 'policy.safetensors'
    )
    gone.unlink()
    with pytest.raises(ValueError, match=f'{gone} is missing: lwd cannot act'):
        confirm(of(compared), Submitted())  # type: ignore[arg-type]
    assert len(Results(compared, CONFIRMED).lines()) == 2  # SFT's


def test_no_table_without_confirmed_lines():
    assert on_other_scenes([], []) == ''
