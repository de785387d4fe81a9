"""What each baseline learns where the answer is known: expectiles, two arms, a parabola."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from lwd_learner.algorithms import METHODS, divl, iql, qam_edit, recap, sft
from lwd_learner.algorithms.flow import sample_ode, velocity_from_clean
from torch import Tensor


def test_every_method_has_a_name_of_its_own_and_data_to_clone_or_none():
    assert set(METHODS) == {
        'lwd',
        'iql',
        'refresh_only',
        'filtered_bc',
        'hg_dagger',
        'recap',
        'sft',
    }
    assert not any(m.tilts and not m.values for m in METHODS.values())
    assert METHODS['hg_dagger'].clones == 'demonstrations and human'


@pytest.mark.parametrize('level', [0.5, 0.8])
def test_on_a_bandit_iql_s_value_is_the_expectile_of_replay_values(level):
    rng = np.random.default_rng(0)
    q = rng.beta(2, 5, 400)
    expected = q.mean()
    for _ in range(200):  # the expectile's own equation, iterated
        weight = np.where(q > expected, level, 1 - level)
        expected = (weight * q).sum() / weight.sum()
    config = divl.DivlConfig(statistic='expectile', tau_base=level)
    logits = torch.zeros(1, 201, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.1)
    values = torch.tensor(q, dtype=torch.float32)
    for _ in range(400):
        loss, _ = iql.value_loss(
            logits.expand(400, 201), torch.stack([values, values + 1]), config
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert divl.state_value(logits.detach(), config).item() == pytest.approx(expected, abs=5e-3)


def test_the_indicator_lets_the_best_autonomous_share_and_every_human_chunk_pass():
    advantage = torch.arange(10.0)
    human = torch.zeros(10, dtype=torch.bool)
    human[0] = True
    found = recap.indicator(advantage, human, recap.RecapConfig(positive_share=1 / 3))
    assert found.tolist() == [True, *[False] * 6, *[True] * 3]
    assert recap.indicator(advantage[:1], human[:1], recap.RecapConfig()).tolist() == [True]


def test_conditions_are_added_to_the_instruction_and_dropped_now_and_then():
    text, words = torch.zeros(2000, 3), torch.tensor([[-1.0, 0, 0], [1.0, 0, 0]])
    positive = torch.arange(2000) % 2 == 0
    generator = torch.Generator().manual_seed(0)
    told = recap.condition(text, positive, words, 0.25, generator)[:, 0]
    assert set(told.tolist()) == {-1.0, 0.0, 1.0}
    assert (told == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert ((told == 1) <= positive).all()


def test_recap_s_guidance_prefers_the_better_of_two_arms():
    """Replay holds -1 (worse) and 1 (better) equally often; the plain law is half and half, the positive one is 1."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(3, 64),
        torch.nn.SiLU(),
        torch.nn.Linear(64, 64),
        torch.nn.SiLU(),
        torch.nn.Linear(64, 1),
    )
    words = torch.tensor([[-1.0], [1.0]])

    def head(text: Tensor):
        return lambda x, t: net(
            torch.cat([x, t.expand(*x.shape[:-1], 1), text.expand(*x.shape[:-1], 1)], -1)
        )

    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(600):
        better = torch.rand(256, generator=generator) < 0.5
        action = better.float()[:, None] * 2 - 1
        human = torch.zeros(256, dtype=torch.bool)
        advantage = action[:, 0] + 0.1 * torch.randn(256, generator=generator)
        positive = recap.indicator(advantage, human, recap.RecapConfig(positive_share=0.45))
        text = recap.condition(torch.zeros(256, 1), positive, words, 0.3, generator)
        loss, _ = sft.flow_matching_loss(head(text), action, torch.ones(256, 1), generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    plain, told = head(torch.zeros(1)), head(words[1])
    noise = torch.randn(1000, 1, generator=generator)
    share = {
        beta: (
            sample_ode(
                velocity_from_clean(
                    lambda x, t, beta=beta: plain(x, t) + beta * (told(x, t) - plain(x, t)), 10
                ),
                noise,
                10,
            )
            > 0
        )
        .float()
        .mean()
        .item()
        for beta in (0.0, 1.0, 1.5)
    }
    assert 0.35 < share[0.0] < 0.65
    assert share[1.0] > 0.9
    assert share[1.5] >= share[1.0] - 0.02


def test_an_edit_climbs_q_within_its_scale_and_keeps_its_entropy():
    """Q = -(a - c)^2 around a chunk of 0: the edit reaches c if the scale lets it, its bound if not."""
    for best, scale, expected in ((0.2, 0.5, 0.2), (2.0, 0.5, 0.5)):
        generator = torch.Generator().manual_seed(0)
        out = torch.zeros(1, 2, requires_grad=True)
        optimiser, log_alpha = torch.optim.Adam([out], lr=0.02), math.log(1e-3)
        chunk = torch.zeros(256, 1)
        for _ in range(600):
            action, log_pi = qam_edit.edited(out.expand(256, 2), chunk, scale, generator)
            slope = -2 * (action.detach() - best)
            loss = qam_edit.edit_policy_loss(action, log_pi, slope, math.exp(log_alpha))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert action.mean().item() == pytest.approx(expected, abs=0.05)
        assert action.abs().max() <= scale + 1e-6


def test_alpha_grows_while_the_entropy_is_under_its_target():
    assert qam_edit.alpha_step(0.0, log_pi=3.0, target_entropy=-1.0, rate=0.1) > 0
    assert qam_edit.alpha_step(0.0, log_pi=-3.0, target_entropy=-1.0, rate=0.1) < 0


def test_the_density_of_an_edit_integrates_to_one():
    u = torch.linspace(-8, 8, 4001)
    out = torch.tensor([[0.3, -0.2]])
    mean, sd = 0.3, math.exp(-0.2)
    generator = torch.Generator().manual_seed(1)
    action, log_pi = qam_edit.edited(out.expand(5, 2), torch.zeros(5, 1), 1.0, generator)
    drawn = action[:, 0].atanh()
    normal = torch.distributions.Normal(mean, sd)
    expected = normal.log_prob(drawn) - torch.log1p(-(action[:, 0] ** 2))
    torch.testing.assert_close(log_pi, expected, atol=1e-4, rtol=1e-4)
    assert torch.trapezoid(normal.log_prob(u).exp(), u).item() == pytest.approx(1, abs=1e-3)
