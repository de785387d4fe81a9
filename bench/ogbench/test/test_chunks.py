"""Targets over chunks against sums by hand, and a critic against the values of a chain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lwd_learner.algorithms.divl import DivlConfig
from lwd_learner.state_learner.qam_update import StateQam, StateQamConfig

from bench.ogbench.chunks import Chunks, Steps, windows


def steps_of(*episodes: list[tuple[float, bool]]) -> Steps:
    """Episodes as (reward, success) of each state; observation and action are the state's number."""
    flat = [row for episode in episodes for row in episode]
    ends = np.cumsum([len(e) for e in episodes]) - 1
    numbers = np.arange(len(flat), dtype=np.float32)[:, None]
    return Steps(
        observation=numbers,
        action=numbers,
        reward=np.array([r for r, _ in flat]),
        success=np.array([s for _, s in flat]),
        last=np.repeat(ends, [len(e) for e in episodes]),
    )


def row(found, start: int) -> tuple[float, float, int]:
    """(reward, discount, bootstrap) of the chunk that starts in a state."""
    i = int(np.flatnonzero(found.start == start)[0])
    return float(found.reward[i]), float(found.discount[i]), int(found.bootstrap[i])


NO = False


def test_one_chunk_sums_its_rewards_and_bootstraps_behind_them():
    found = windows(steps_of([(-1.0, NO), (-2.0, NO), (-4.0, NO), (-8.0, NO)]), 2, 1, 0.5)
    assert list(found.start) == [0, 1]
    assert row(found, 0) == (-1 - 0.5 * 2, 0.25, 2)
    assert row(found, 1) == (-2 - 0.5 * 4, 0.25, 3)


def test_a_success_ends_the_sum_and_the_bootstrap():
    steps = steps_of([(-1.0, NO), (-1.0, NO), (0.0, True), (-1.0, NO), (-1.0, NO), (-1.0, NO)])
    found = windows(steps, 3, 1, 0.5)
    assert row(found, 0)[:2] == (-1.5, 0.0)
    assert row(found, 1)[:2] == (-1.0, 0.0)
    assert row(found, 2)[:2] == (0.0, 0.0)


def test_a_success_in_the_state_behind_the_window_is_worth_nothing_more():
    found = windows(steps_of([(-1.0, NO), (-1.0, NO), (0.0, True), (0.0, True)]), 2, 1, 0.5)
    assert row(found, 0) == (-1.5, 0.0, 2)


def test_several_chunks_are_cut_at_the_end_of_the_episode_but_not_ended():
    steps = steps_of([(-1.0, NO)] * 4, [(-7.0, NO)] * 3)
    found = windows(steps, 2, 3, 0.5)
    assert list(found.start) == [0, 1, 4]  # no chunk straddles episodes
    assert row(found, 0) == (-1.75, 0.125, 3)
    assert row(found, 1) == (-1.5, 0.25, 3)
    assert row(found, 4) == (-10.5, 0.25, 6)


def test_a_ten_chunk_window_is_the_sum_by_hand():
    rewards = np.random.default_rng(0).normal(size=61)
    found = windows(steps_of([(r, NO) for r in rewards]), 5, 10, 0.99)
    expected = sum(0.99**i * rewards[3 + i] for i in range(50))
    assert row(found, 3) == (pytest.approx(expected), pytest.approx(0.99**50), 53)


def test_episodes_too_short_for_a_chunk_are_refused():
    with pytest.raises(ValueError, match='no episode holds a chunk of 4 actions'):
        windows(steps_of([(0.0, NO)] * 4), 4, 1, 0.9)


def test_a_batch_is_a_function_of_seed_and_update():
    chunks = Chunks(steps_of([(-1.0, NO)] * 30), 2, 1, 0.5)
    first, again, later = (chunks.batch(8, 0, u) for u in (4, 4, 5))
    assert torch.equal(first.observation, again.observation)
    assert not torch.equal(first.observation, later.observation)
    assert torch.equal(first.action, torch.cat([first.observation, first.observation + 1], 1))
    assert torch.equal(first.next_observation, first.observation + 2)


@pytest.mark.parametrize(('backup', 'n'), [('policy', 1), ('policy', 3), ('divl', 1)])
def test_the_critic_finds_the_values_of_a_chain(backup, n):
    """All data walk to the goal at -1 a step: Q = -(1 - gamma^steps) / (1 - gamma). A wrong sign or discount misses."""
    length, horizon, gamma = 12, 2, 0.8
    rng = np.random.default_rng(0)
    count = 60
    left = np.tile(np.arange(length, -2, -1).clip(0), count)  # data go on behind the goal
    steps = Steps(
        observation=(left[:, None] / length).astype(np.float32),
        action=(0.5 + 0.02 * rng.normal(size=(len(left), 1))).astype(np.float32),
        reward=np.where(left == 0, 0.0, -1.0),
        success=left == 0,
        last=np.repeat((np.arange(count) + 1) * (length + 2) - 1, length + 2),
    )
    support = DivlConfig(v_min=-6.0, v_max=0.0, statistic='mean')
    config = StateQamConfig(
        observation=1,
        action=horizon,
        hidden=32,
        layers=2,
        members=2,
        steps=2,
        lr=2e-3,
        ema=0.05,
        rho=0.0,
        backup=backup,
        divl=support,
    )
    agent, chunks = StateQam(config), Chunks(steps, horizon, n, gamma)
    for update in range(600):
        agent.update(chunks.batch(128, 0, update))
    for state in (2, 4, 10):
        x = torch.tensor([[state / length, 0.5, 0.5]])
        q = agent.critic.forward(x)[..., 0].mean().item()
        assert q == pytest.approx(-(1 - gamma**state) / (1 - gamma), abs=0.35)
