"""Flow matching learns the conditional law of the data and ignores padding."""

from __future__ import annotations

import pytest
import torch
from lwd_learner.algorithms import flow as algorithms_flow
from lwd_learner.algorithms import sft


def test_padding_after_a_cut_costs_nothing():
    action = torch.zeros(4, 6)
    mask = torch.ones(4, 6)
    mask[:, 3:] = 0
    wrong_where_padded = torch.tensor([0, 0, 0, 9.0, 9.0, 9.0])
    loss, _ = sft.flow_matching_loss(
        lambda x, t: torch.zeros_like(x) + wrong_where_padded, action, mask
    )
    assert loss.item() == pytest.approx(0.0)


def test_weights_choose_the_samples():
    action = torch.tensor([[1.0], [5.0]])
    mask = torch.ones(2, 1)
    loss, _ = sft.flow_matching_loss(
        lambda x, t: x * 0, action, mask, weight=torch.tensor([1.0, 0.0])
    )
    assert loss.item() == pytest.approx(1.0)


def test_a_small_head_samples_both_modes_of_a_bimodal_action():
    """BC by regression would answer 0; the flow answers -1 or 1, each about half the time."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(2, 64),
        torch.nn.SiLU(),
        torch.nn.Linear(64, 64),
        torch.nn.SiLU(),
        torch.nn.Linear(64, 1),
    )
    head = lambda x, t: net(torch.cat([x, t.expand(*x.shape[:-1], 1)], -1))  # noqa: E731
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(1000):
        action = torch.randint(0, 2, (256, 1), generator=generator) * 2.0 - 1
        loss, _ = sft.flow_matching_loss(head, action, torch.ones(256, 1), generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    flow = algorithms_flow.velocity_from_clean(head, 10)
    ends = algorithms_flow.sample_ode(flow, torch.randn(2000, 1, generator=generator), 10)
    assert (ends.abs() - 1).abs().mean() < 0.25  # regression to the mean would give 1
    assert 0.4 < (ends > 0).float().mean() < 0.6
