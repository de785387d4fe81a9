"""The whole command on a tiny comparison, from data to tables; a second run has nothing to do."""

from __future__ import annotations

import json

import pytest
from lwd_learner.evaluation import Evaluator

from bench.methods.config import CompareConfig
from bench.methods.confirm import ConfirmConfig, confirm
from bench.methods.entries import MAIN, METHOD_NAMES
from bench.methods.report import tables
from bench.methods.results import CONFIRMED, Results
from bench.methods.run import Comparison, run


@pytest.mark.long
def test_a_tiny_comparison_from_bags_to_tables(tmp_path):
    config = CompareConfig(
        folder=tmp_path,
        tasks=('restock',),
        seeds=(0,),
        demonstrations=8,
        held_out=6,
        sft_steps=5,
        offline_updates=4,
        rounds=1,
        round_episodes=2,
        round_updates=4,
        test_episodes=1,
    )
    run(config, Comparison)
    lines = Results(tmp_path).lines()
    assert [line['method'] for line in lines[: len(MAIN)]] == list(METHOD_NAMES)
    online = [line for line in lines if line['round'] == 1]
    assert {line['method'] for line in online} == {
        entry.name for entry in MAIN if entry.acts_online or entry.policy_of
    }
    acted = [line['acted']['episodes'] for line in online if 'acted' in line]
    assert acted == [2] * (len(online) - 1)  # the best of n acts in tests only
    assert all(line['test']['n'] == 1 for line in online)
    assert all(line['test']['seeds'] == online[0]['test']['seeds'] for line in online)
    assert tables(lines, json.loads((tmp_path / 'config.json').read_text())).count('restock') > 9

    def nothing_left(*_: object) -> Comparison:
        class Idle:
            def do(self, job: object) -> None:
                raise AssertionError(f'{job} was done already')

            def close(self) -> None:
                pass

        return Idle()  # type: ignore[return-value]

    run(config, nothing_left)
    assert Results(tmp_path).lines() == lines

    again = ConfirmConfig(tmp_path, methods=('sft', 'lwd', 'lwd, best of 8'), episodes=1)
    with Evaluator(workers=1) as evaluator:
        confirm(again, evaluator)
    confirmed = Results(tmp_path, CONFIRMED).lines()
    assert len(confirmed) == 5  # SFT offline; LWD and its best of 8 offline and after the round
    assert all(line['test']['seeds'] == [900_000_000, 900_000_000] for line in confirmed)
