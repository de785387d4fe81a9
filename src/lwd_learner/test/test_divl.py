"""DIVL against answers computed by hand: projection, quantiles, adaptive tau, targets, and a
bandit with known Q.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from lwd_learner.algorithms import divl
from lwd_learner.replay import Replay, Transitions
from toy_replay import LAYOUT, episode

CONFIG = divl.DivlConfig()
FIRST_ATOM = divl.DivlConfig(quantile='first_atom')
ATOM = 0.006  # (1.1 + 0.1) / 200


def _logits_of(probabilities: torch.Tensor) -> torch.Tensor:
    return probabilities.clamp(min=1e-12).log()


def test_support_has_201_atoms_from_minus_point_one_to_one_point_one():
    z = divl.support(CONFIG)
    assert z.shape == (201,)
    assert z[0] == pytest.approx(-0.1)
    assert z[-1] == pytest.approx(1.1)
    assert (z[1] - z[0]).item() == pytest.approx(ATOM, abs=1e-6)


def test_projection_keeps_the_mean_and_clips_to_the_support():
    values = torch.tensor([-5.0, -0.1, 0.0031, 0.5, 1.1, 7.0])
    p = divl.project(values, CONFIG)
    torch.testing.assert_close(p.sum(-1), torch.ones(6))
    torch.testing.assert_close(p @ divl.support(CONFIG), values.clamp(-0.1, 1.1))
    assert ((p > 0).sum(-1) <= 2).all()


def test_the_papers_quantile_is_the_first_atom_whose_cumulative_mass_reaches_tau():
    p = torch.zeros(4, 201)
    p[:, 50], p[:, 100] = 0.4, 0.6
    z = divl.support(CONFIG)
    found = divl.quantile(_logits_of(p), torch.tensor([0.05, 0.4, 0.41, 0.95]), FIRST_ATOM)
    torch.testing.assert_close(found, z[[50, 50, 100, 100]])


@pytest.mark.parametrize('tau', [0.3, 0.5, 0.6, 0.9])
def test_a_v_certain_of_one_value_answers_it_at_every_level_between_atoms_too(tau):
    values = torch.linspace(-0.1, 1.1, 1777)
    found = divl.quantile(
        _logits_of(divl.project(values, CONFIG)), torch.full_like(values, tau), CONFIG
    )
    # exact where tau falls between the middles of the value's two atoms; beside that the atoms' own mass bends it
    assert (found - values).abs().max() < 0.35 * ATOM
    assert (found - values).abs().mean() < 0.16 * ATOM
    first = divl.quantile(
        _logits_of(divl.project(values, CONFIG)), torch.full_like(values, tau), FIRST_ATOM
    )
    assert (first - values).abs().mean() > 0.2 * ATOM


def test_the_interpolated_quantile_rises_with_tau_over_a_spread_v():
    torch.manual_seed(0)
    logits = (torch.randn(1, 201) * 0.3).expand(90, -1)
    tau = torch.linspace(0.05, 0.95, 90)
    found = divl.quantile(logits, tau, CONFIG)
    assert (found.diff() > 0).all()
    torch.testing.assert_close(
        found, divl.quantile(logits, tau, FIRST_ATOM), atol=1.5 * ATOM, rtol=0
    )


@pytest.mark.parametrize(
    ('config', 'error', 'distinct'),
    [
        # values of step rewards -1 at a discount of .99, a chunk of five steps: atoms half a unit apart
        (divl.DivlConfig(v_min=-110.0, v_max=0.0), (0.0, 0.02), (199, 199)),
        (divl.DivlConfig(v_min=-110.0, v_max=0.0, quantile='first_atom'), (4.0, 7.0), (0, 70)),
    ],
)
def test_values_of_a_long_chain_are_exact_with_the_interpolated_quantile_only(
    config, error, distinct
):
    """States of a chain, 200 chunks long, with V the projection of Q: what DIVL comes to where nothing is uncertain."""
    discount = 0.99**5
    reward = torch.full((200,), -(1 - discount) / (1 - 0.99))
    exact = -100 * (1 - discount ** torch.arange(1, 201))
    q, discounts = torch.full((200,), -1.0), torch.full((200,), discount)
    discounts[0] = 0.0
    for _ in range(2000):
        v = _logits_of(divl.project(q, config))
        y = divl.q_target(reward, discounts, v.roll(1, 0), config)
        q = q + 0.5 * (y - q)
    worst = (q - exact).abs().max().item()
    assert error[0] <= worst <= error[1]
    told_apart = int((q.diff() < -1e-4).sum())
    assert distinct[0] <= told_apart <= distinct[1]


def test_tau_falls_with_entropy_and_stays_inside_its_clips():
    uniform = torch.zeros(1, 201)
    certain = _logits_of(torch.nn.functional.one_hot(torch.tensor([7]), 201).float())
    assert divl.adaptive_tau(certain, CONFIG).item() == pytest.approx(0.6, abs=1e-4)
    assert divl.adaptive_tau(uniform, CONFIG).item() == pytest.approx(0.3, abs=1e-4)
    half = _logits_of(
        torch.nn.functional.one_hot(torch.tensor([7]), 201) * 0.5 + 0.5 * torch.eye(201)[[9]]
    )
    hn = math.log(2) / math.log(201)
    assert divl.adaptive_tau(half, CONFIG).item() == pytest.approx(0.6 - 0.3 * hn, abs=1e-4)
    steep = divl.DivlConfig(tau_base=0.99, tau_alpha=2.0)
    assert divl.adaptive_tau(certain, steep).item() == pytest.approx(0.95)
    assert divl.adaptive_tau(uniform, steep).item() == pytest.approx(0.05)


def test_value_target_is_the_minimum_over_the_two_ema_heads():
    logits = torch.zeros(2, 201, requires_grad=True)
    heads = torch.tensor([[0.2, 0.9], [0.5, 0.3]])
    loss, info = divl.value_loss(logits, heads, CONFIG)
    assert info['value/target_mean'] == pytest.approx(0.25)
    loss.backward()
    assert logits.grad is not None
    pulled_up = (-logits.grad @ divl.support(CONFIG)).detach()
    centre = 0.5  # a uniform V's mean: both targets lie below it
    torch.testing.assert_close(
        pulled_up, (torch.tensor([0.2, 0.3]) - centre) / 2, atol=1e-3, rtol=0
    )


def test_q_target_bootstraps_from_the_quantile_and_never_past_the_end():
    p = torch.zeros(3, 201)
    p[:, 150] = 1.0  # V certain of z = 0.8
    y = divl.q_target(
        torch.tensor([0.0, 1.0, 0.3]), torch.tensor([0.9, 0.0, 0.5]), _logits_of(p), CONFIG
    )
    torch.testing.assert_close(y, torch.tensor([0.72, 1.0, 0.7]), atol=1e-5, rtol=0)
    assert not y.requires_grad


def test_critic_loss_is_the_squared_error_of_every_head():
    q = torch.tensor([[0.0, 1.0], [0.5, 0.5]], requires_grad=True)
    loss, _ = divl.critic_loss(q, torch.tensor([1.0, 0.0]))
    assert loss.item() == pytest.approx((1 + 1 + 0.25 + 0.25) / 4)


def test_ema_moves_by_its_rate():
    source, target = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    before = target.weight.detach().clone()
    divl.ema_update(target, source, 0.005)
    torch.testing.assert_close(target.weight, 0.995 * before + 0.005 * source.weight)


@pytest.mark.parametrize('quantile', ['interpolated', 'first_atom'])
@pytest.mark.parametrize('statistic', ['constant', 'adaptive'])
def test_on_a_bandit_the_quantile_of_v_is_the_empirical_quantile_within_one_atom(
    statistic, quantile
):
    """V trained on scalar critic values of replay actions models their distribution: section 6,
    answer 6.
    """
    rng = np.random.default_rng(0)
    q_of_replay = torch.tensor(rng.beta(2, 5, 1000), dtype=torch.float32)
    logits = torch.zeros(1, 201, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.3)
    for _ in range(300):
        loss, _ = divl.value_loss(
            logits.expand(1000, 201), torch.stack([q_of_replay, q_of_replay]), CONFIG
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    config = divl.DivlConfig(statistic=statistic, quantile=quantile)
    level = divl.adaptive_tau(logits.detach(), config).item() if statistic == 'adaptive' else 0.6
    expected = float(np.quantile(q_of_replay.numpy(), level))
    assert divl.state_value(logits.detach(), config).item() == pytest.approx(expected, abs=ATOM)


V_OF_NEXT = 0.8
LAST = 24  # of an episode's 25 rows


@pytest.mark.parametrize(
    ('facts', 'expected'),
    [
        # start -> y, with n = 10 chunks of H = 2: 20 steps, gamma per step
        (
            {'outcome': 'success'},
            {0: 0.9**20 * V_OF_NEXT, 4: 0.9**20 * V_OF_NEXT, 6: 0.9**18, 24: 1.0},
        ),
        ({'outcome': 'failure'}, {0: 0.9**20 * V_OF_NEXT, 6: 0.0, 24: 0.0}),
        # no verdict: the last action's result was not seen, its observation is what is bootstrapped from
        (
            {'outcome': 'aborted'},
            {0: 0.9**20 * V_OF_NEXT, 10: 0.9**14 * V_OF_NEXT, 22: 0.9**2 * V_OF_NEXT},
        ),
        # a human takes over at row 15 and succeeds: the policy's windows end there, the human's at the success
        (
            {'outcome': 'success', 'source': np.where(np.arange(25) < 15, 1, 2).astype(np.uint8)},
            {0: 0.9**15 * V_OF_NEXT, 14: 0.9 * V_OF_NEXT, 16: 0.9**8, 24: 1.0},
        ),
    ],
    ids=['success', 'failure', 'truncation', 'takeover'],
)
def test_a_ten_step_target_is_the_one_computed_by_hand(tmp_path, facts, expected):
    """Section 6, answer 6: from rows of an episode to y, across an end, a truncation and a takeover."""
    replay = Replay.create(tmp_path / 'replay', LAYOUT)
    replay.append('online', [episode(1, rows=LAST + 1, **facts)])
    read = Transitions(replay, horizon=2, n_step=10, gamma=0.9)
    batch = read.read(replay.global_rows('online', read.starts('online')))
    certain = torch.zeros(len(batch), 201)
    certain[:, round((V_OF_NEXT + 0.1) / ATOM)] = 1.0
    y = divl.q_target(
        torch.from_numpy(batch.reward),
        torch.from_numpy(batch.discount),
        _logits_of(certain),
        CONFIG,
    )
    found = dict(zip((batch.start & 0xFFFF).tolist(), y.tolist(), strict=True))
    for start, value in expected.items():
        assert found[start] == pytest.approx(value, abs=1e-5), start
