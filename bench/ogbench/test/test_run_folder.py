"""A run that was stopped goes on as if it had not been."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from lwd_learner.state_learner.qam_update import StateQam, StateQamConfig

from bench.ogbench.chunks import Chunks, Steps
from bench.ogbench.evaluation import Result
from bench.ogbench.run_folder import Checkpoint, RunFolder, read_results
from bench.ogbench.train import SIZES, TrainConfig, Training

SHORT = TrainConfig(
    'scene',
    updates=8,
    batch=16,
    log_every=1,
    save_every=2,
    evaluate_every=4,
    clone_every=4,
    episodes=5,
)


class Stopped(Exception):
    """Stands for a kill."""


class FixedEvaluator:
    """Counts successes by the policy's action in one state; may be stopped in the middle of its work."""

    def __init__(self, stop_at: int | None = None) -> None:
        self._calls, self._stop_at = 0, stop_at

    def run(self, agent: StateQam, episodes: int, policy: str = 'flow') -> Result:
        self._calls += 1
        if self._calls == self._stop_at:
            raise Stopped
        generator = torch.Generator().manual_seed(0)
        chunks = agent.act(torch.zeros(episodes, 3), policy=policy, generator=generator)
        return Result(int((chunks[:, 0] > 0).sum()), episodes)


def go(folder, config: TrainConfig, stop_at: int | None = None) -> StateQam:
    rng = np.random.default_rng(0)
    count = 200
    steps = Steps(
        observation=rng.normal(size=(count, 3)).astype(np.float32),
        action=rng.uniform(-1, 1, (count, 2)).astype(np.float32),
        reward=-np.ones(count),
        success=np.zeros(count, dtype=bool),
        last=np.full(count, count - 1),
    )
    sizes = StateQamConfig(3, 10, hidden=16, layers=2, members=2, steps=3)
    agent = StateQam(sizes, config.seed)
    chunks = Chunks(steps, config.horizon, config.n, config.gamma)
    run = RunFolder(folder, {'method': config.method})
    Training(config, run, agent, chunks, FixedEvaluator(stop_at)).go_on()
    return agent


def results(folder) -> list[dict]:
    """Without times."""
    times = ('wall_s', 'cpu_s', 'evaluation_s')
    return [{k: v for k, v in r.items() if k not in times} for r in read_results(folder)]


def test_a_stopped_run_goes_on_exactly(tmp_path):
    whole = go(tmp_path / 'whole', SHORT)
    with pytest.raises(Stopped):
        go(tmp_path / 'cut', SHORT, stop_at=3)  # at update 8, behind the checkpoint of update 6
    with (tmp_path / 'cut' / 'results.jsonl').open('a') as file:
        file.write('{"kind": "trai')
    cut = go(tmp_path / 'cut', SHORT)
    assert results(tmp_path / 'cut') == results(tmp_path / 'whole')
    assert all(torch.equal(v, cut.state()[k]) for k, v in whole.state().items())


def test_a_finished_run_goes_on_to_more_updates(tmp_path):
    go(tmp_path / 'whole', SHORT)
    go(tmp_path / 'longer', dataclasses.replace(SHORT, updates=4))
    go(tmp_path / 'longer', SHORT)
    assert results(tmp_path / 'longer') == results(tmp_path / 'whole')


def test_a_folder_of_another_configuration_is_refused_by_name(tmp_path):
    RunFolder(tmp_path, {'method': 'qam', 'seed': 0})
    with pytest.raises(ValueError, match="method 'qam', not 'divl'"):
        RunFolder(tmp_path, {'method': 'divl', 'seed': 0})


def test_results_without_a_checkpoint_are_dropped(tmp_path):
    run = RunFolder(tmp_path, {})
    run.add({'update': 1})
    assert run.load() is None
    assert run.results() == []


def test_a_checkpoint_comes_back(tmp_path):
    run = RunFolder(tmp_path, {})
    for update in (1, 2, 3):
        run.add({'update': update})
    run.save(Checkpoint(2, 1.5, 2.5, {'a': torch.arange(3)}))
    found = run.load()
    assert (found.update, found.wall_s, found.cpu_s) == (2, 1.5, 2.5)
    assert torch.equal(found.tensors['a'], torch.arange(3))
    assert [json.loads(line)['update'] for line in (tmp_path / 'results.jsonl').open()] == [1, 2]


def test_intervals_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match='updates 1500 must be a multiple of save_every, 1000'):
        TrainConfig('scene', updates=1500)


def test_the_public_size_is_the_public_codes():
    assert SIZES['public'] == (10, 512)
