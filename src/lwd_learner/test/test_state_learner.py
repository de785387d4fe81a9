"""The hand-written passes of the flat-state learner against autograd and against the readable algorithms."""

from __future__ import annotations

import dataclasses
import math
import threading

import pytest
import torch
from lwd_learner.algorithms import divl, qam
from lwd_learner.state_learner.lanes import both
from lwd_learner.state_learner.mlp import EPSILON, Mlp, MlpShape, Tape, split
from lwd_learner.state_learner.qam_update import StateBatch, StateQam, StateQamConfig
from torch import Tensor
from torch.nn import functional

SMALL = StateQamConfig(
    observation=5, action=4, hidden=24, layers=3, members=3, steps=6, temperature=0.5
)


def plain(flat: Tensor, shape: MlpShape, x: Tensor) -> Tensor:
    """The same ensemble for autograd: (..., inputs) -> (K, ..., outputs)."""
    layers = split(flat, shape)
    out = []
    for k in range(shape.members):
        h = x
        for layer in layers[:-1]:
            h = functional.gelu(h @ layer.weight[k] + layer.bias[k])
            if layer.scale is not None:
                h = functional.layer_norm(
                    h, h.shape[-1:], layer.scale[k, 0], layer.shift[k, 0], EPSILON
                )
        out.append(h @ layers[-1].weight[k] + layers[-1].bias[k])
    return torch.stack(out)


def a_batch(size: int = 16, seed: int = 0) -> StateBatch:
    g = torch.Generator().manual_seed(seed)
    return StateBatch(
        observation=torch.randn(size, 5, generator=g),
        action=torch.rand(size, 4, generator=g) * 2 - 1,
        reward=torch.rand(size, generator=g) * 0.1,
        discount=torch.full((size,), 0.9),
        next_observation=torch.randn(size, 5, generator=g),
        valid=torch.ones(size),
    )


@pytest.mark.parametrize('members', [1, 3])
@pytest.mark.parametrize('layer_norm', [False, True])
def test_hand_written_backward_is_the_derivative(members, layer_norm):
    torch.manual_seed(0)
    shape = MlpShape(7, 2, 16, 3, members, layer_norm)
    net = Mlp(shape, 'float32')
    net.flat.add_(0.1 * torch.randn_like(net.flat))
    x, d = torch.randn(9, 7), torch.randn(members, 9, 2)
    flat, point = net.flat.clone().requires_grad_(), x.clone().requires_grad_()
    expected = plain(flat, shape, point)
    (expected * d).sum().backward()
    tape: list[Tape] = []
    torch.testing.assert_close(net.forward(x, tape), expected.detach())
    slope = net.backward(tape, d, inputs=True)
    torch.testing.assert_close(slope, point.grad, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(net.gradient, flat.grad, atol=1e-5, rtol=1e-4)
    with_prefix = net.forward(x, None, net.prefix(x[:, :4]), 4)
    torch.testing.assert_close(with_prefix, expected.detach())


def test_low_precision_products_stay_near():
    torch.manual_seed(0)
    shape = MlpShape(7, 2, 64, 3, 2, True)
    net = Mlp(shape, 'bfloat16')
    x = torch.randn(32, 7)
    error = net.forward(x) - plain(net.flat, shape, x)
    assert error.abs().max() < 0.05


def test_the_flow_gradient_is_that_of_the_readable_algorithm():
    """One code computes each pass once, the other is written to be read: same loss, same gradient."""
    agent, batch = StateQam(SMALL, seed=3), a_batch()
    agent.reference_average.flat.add_(
        0.05
    )  # the flows must differ for the loss to be more than the adjoint
    shape, start = agent.flow.shape, agent.generator.get_state()
    info = agent._gradients(batch)
    flat = agent.flow.flat.clone().requires_grad_()

    def flow(x: Tensor, t: Tensor, weights: Tensor = flat) -> Tensor:
        observation = batch.observation.expand(*x.shape[:-1], 5)
        return plain(weights, shape, torch.cat([observation, x, t.expand(*x.shape[:-1], 1)], -1))[
            0
        ]

    def q(a: Tensor) -> Tensor:
        x = torch.cat([batch.observation, a], 1)
        return plain(agent.critic_average.flat, agent.critic.shape, x).mean(0)[:, 0]

    generator = torch.Generator()
    generator.set_state(start)
    torch.randn(2, 16, 4, generator=generator)  # of the next action, and of cloning
    torch.rand(16, 1, generator=generator)
    loss, _ = qam.actor_loss(
        flow,
        lambda x, t: flow(x, t, agent.reference_average.flat),
        q,
        torch.randn(16, 4, generator=generator),
        qam.QamConfig(steps=6, discretisation='euler', box=1.0),
        generator,
        SMALL.temperature,
    )
    loss.backward()
    assert info['actor/loss'] == pytest.approx(loss.item(), rel=1e-4)
    torch.testing.assert_close(agent.flow.gradient, flat.grad, atol=1e-4, rtol=1e-3)


def test_each_lane_has_half_of_the_threads():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        met = threading.Barrier(2)  # so that each lane answers once

        def count() -> int:
            met.wait()
            return torch.get_num_threads()

        assert both(count, count) == (2, 2)
        assert torch.get_num_threads() == 4
        torch.set_num_threads(1)
        assert both(torch.get_num_threads, torch.get_num_threads) == (1, 1)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize('backup', ['policy', 'divl'])
def test_two_lanes_learn_what_one_does(backup):
    """Half of the threads each for two chains, or all for one after the other: the same numbers come out."""
    config, threads = dataclasses.replace(SMALL, backup=backup), torch.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            agent = StateQam(config, seed=5)
            infos = [agent.update(a_batch(seed=i)) for i in range(3)]
            found.append((agent.state(), infos))
    finally:
        torch.set_num_threads(threads)
    (one, one_infos), (two, two_infos) = found
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-6, msg=name)
    for a, b in zip(one_infos, two_infos, strict=True):
        assert a == pytest.approx(b, rel=1e-4)


def test_the_critic_gradient_is_that_of_the_squared_error():
    agent, batch = StateQam(SMALL, seed=1), a_batch()
    y = torch.rand(16)
    agent._critic_gradient(batch, y, agent._judge(batch))
    flat = agent.critic.flat.clone().requires_grad_()
    x = torch.cat([batch.observation, batch.action], 1)
    (plain(flat, agent.critic.shape, x)[..., 0] - y).square().mean().backward()
    torch.testing.assert_close(agent.critic.gradient, flat.grad, atol=1e-5, rtol=1e-4)


def test_the_value_gradient_is_that_of_divl():
    agent, batch = StateQam(dataclasses.replace(SMALL, backup='divl', rho=0.0), seed=1), a_batch()
    assert agent.value is not None
    y = agent._target(batch, agent._draw(16))
    flat = agent.value.flat.clone().requires_grad_()
    x = torch.cat([batch.observation, batch.action], 1)
    ema_q = plain(agent.critic_average.flat, agent.critic.shape, x)[..., 0].mean(0, keepdim=True)
    logits = plain(flat, agent.value.shape, batch.observation)[0]
    loss, _ = divl.value_loss(logits, ema_q, SMALL.divl)
    loss.backward()
    torch.testing.assert_close(agent.value.gradient, flat.grad, atol=1e-5, rtol=1e-4)
    next_logits = plain(agent.value.flat, agent.value.shape, batch.next_observation)[0]
    torch.testing.assert_close(
        y, divl.q_target(batch.reward, batch.discount, next_logits, SMALL.divl)
    )


@pytest.mark.parametrize('backup', ['policy', 'divl'])
def test_an_update_moves_everything_or_nothing(backup):
    agent = StateQam(dataclasses.replace(SMALL, backup=backup))
    nets = [
        agent.critic,
        agent.reference,
        agent.flow,
        agent.critic_average,
        agent.reference_average,
    ]
    before = [net.flat.clone() for net in nets]
    bad = dataclasses.replace(a_batch(), reward=torch.full((16,), math.nan))
    agent.update(bad)
    assert agent.skipped == 1
    assert all(torch.equal(b, net.flat) for b, net in zip(before, nets, strict=True))
    agent.update(a_batch())
    assert agent.skipped == 1
    assert not any(torch.equal(b, net.flat) for b, net in zip(before, nets, strict=True))


@pytest.mark.parametrize('backup', ['policy', 'divl'])
def test_on_a_bandit_the_flow_moves_to_the_better_arm(backup):
    """Replay holds two arms, -0.5 (reward 0) and 0.5 (reward 1), equally often: the tilted policy takes the second."""
    config = StateQamConfig(
        observation=1,
        action=1,
        hidden=32,
        layers=2,
        members=2,
        temperature=0.2,
        lr=2e-3,
        ema=0.05,
        backup=backup,
    )
    agent, g = StateQam(config), torch.Generator().manual_seed(0)
    for _ in range(400):
        arm = torch.randint(0, 2, (64, 1), generator=g).float()
        zero = torch.zeros(64, 1)
        action = arm - 0.5 + 0.05 * torch.randn(64, 1, generator=g)
        agent.update(StateBatch(zero, action, arm[:, 0], torch.zeros(64), zero, torch.ones(64)))
    assert agent.skipped == 0
    chunks = agent.act(torch.zeros(500, 1))
    assert (chunks > 0).float().mean() > 0.75
    clone = agent.act(torch.zeros(500, 1), policy='reference')
    assert 0.35 < (clone > 0).float().mean() < 0.65
    assert (agent.act(torch.zeros(100, 1), best_of=8) > 0).all()


@pytest.mark.parametrize('backup', ['policy', 'divl'])
def test_a_restored_agent_goes_on_as_if_never_stopped(backup):
    config = dataclasses.replace(SMALL, backup=backup, precision='bfloat16')
    agent = StateQam(config, seed=1)
    for i in range(3):
        agent.update(a_batch(seed=i))
    kept = {k: v.clone() for k, v in agent.state().items()}
    other = StateQam(config, seed=2)
    other.restore(kept)
    a, b = agent.update(a_batch(seed=9)), other.update(a_batch(seed=9))
    assert a == b
    assert all(torch.equal(v, other.state()[k]) for k, v in agent.state().items())


def test_a_state_of_another_size_is_refused():
    wider = StateQam(dataclasses.replace(SMALL, hidden=32))
    with pytest.raises(ValueError, match=r'another configuration: adam\.critic\.mean'):
        StateQam(SMALL).restore(wider.state())


def test_acting_with_a_generator_of_ones_own_leaves_training_as_it_was():
    agent = StateQam(SMALL)
    before = agent.generator.get_state()
    first, second = (
        agent.act(torch.zeros(4, 5), generator=torch.Generator().manual_seed(7)) for _ in range(2)
    )
    assert torch.equal(first, second)
    assert torch.equal(before, agent.generator.get_state())
