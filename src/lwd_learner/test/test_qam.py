"""Adjoint matching against known answers (1-D Gaussians, a rotation, a mixture): a wrong schedule
or a JVP fails here.

Base N(m, s^2): V_t = (1-t)^2 + t^2 s^2, f_b(x, t) = m + (t s^2 - (1-t)) / V_t (x - t m).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from lwd_learner.algorithms import flow as flows
from lwd_learner.algorithms import qam, trust_region
from lwd_learner.algorithms.qam_config import QamConfig
from torch import Tensor

DOUBLE = torch.float64


def gaussian_velocity(m: float, s2: float) -> flows.Flow:
    def f_b(x: Tensor, t: Tensor) -> Tensor:
        v = (1 - t) ** 2 + t**2 * s2
        return m + (t * s2 - (1 - t)) / v * (x - t * m)

    return f_b


def gaussian_clean(m: float, s2: float) -> flows.Flow:
    """E[a | x_t] of the same base."""

    def x1(x: Tensor, t: Tensor) -> Tensor:
        return m + t * s2 / ((1 - t) ** 2 + t**2 * s2) * (x - t * m)

    return x1


def affine_by_step(coefficients: Tensor) -> flows.Flow:
    """f(x, t_i) = a_i x + b_i from a table (T, 2)."""
    steps = coefficients.shape[0]

    def f(x: Tensor, t: Tensor) -> Tensor:
        i = (t * steps).round().long().clamp(max=steps - 1)
        return coefficients[i, 0] * x + coefficients[i, 1]

    return f


def linear_q(g: Tensor) -> qam.QFunction:
    return lambda a: a @ g


EULER = QamConfig(steps=10, discretisation='euler', box=1e9)
EXACT = QamConfig(steps=10, discretisation='ancestral', box=1e9)


def test_schedule_is_the_memoryless_one():
    assert flows.sigma(0, 10) == pytest.approx(math.sqrt(2 * 1.1 / 0.1))
    assert flows.sigma(9, 10) == pytest.approx(math.sqrt(2 * 0.2 / 1.0))


def test_one_flow_step_is_refused():
    with pytest.raises(ValueError, match='at least 2'):
        QamConfig(steps=1)


def test_lean_adjoint_of_a_linear_q_matches_the_table():
    """Answer 1: T = 10, s^2 = .25, ratios to -tau g."""
    x0 = torch.zeros(1, 1, dtype=DOUBLE)
    path = qam.rollout(gaussian_velocity(0.3, 0.25), gaussian_velocity(0.3, 0.25), x0, EULER)
    end = qam.terminal_adjoint(linear_q(torch.tensor([1.7], dtype=DOUBLE)), path[-1], EULER.box)
    adjoints, _ = qam.lean_adjoints(gaussian_velocity(0.3, 0.25), path, end, EULER)
    ratios = [a.item() / -1.7 for a in adjoints]
    expected = [
        -0.00311,
        0.01446,
        0.05371,
        0.12704,
        0.25409,
        0.45373,
        0.71642,
        0.96879,
        1.10719,
        1.1,
        1.0,
    ]
    assert ratios == pytest.approx(expected, abs=6e-6)


def _solve(base: flows.Flow, q: qam.QFunction, config: QamConfig, n: int = 8_000) -> Tensor:
    """Fixed point of adjoint matching for 1-D affine flows, by per-step least squares on the
    library's own loss.

    The adjoint pushes back in proportion to what the flow already does, so plain sweeps oscillate;
    half steps settle it, then shrinking ones average the noise away.
    """
    generator = torch.Generator().manual_seed(0)
    table = torch.zeros(config.steps, 2, dtype=DOUBLE)
    for i in range(config.steps):
        t = torch.full((1,), i / config.steps, dtype=DOUBLE)
        b = base(torch.zeros(1, 1, dtype=DOUBLE), t).item()
        table[i] = torch.tensor([base(torch.ones(1, 1, dtype=DOUBLE), t).item() - b, b])
    best = table.clone()
    burn_in = 8 + config.steps // 2
    for sweep in range(burn_in + 24):
        x0 = torch.randn(n, 1, generator=generator, dtype=DOUBLE)
        path = qam.rollout(affine_by_step(table), base, x0, config, generator)
        end = qam.terminal_adjoint(q, path[-1], config.box)
        adjoints, values = qam.lean_adjoints(base, path, end, config)
        for i in range(config.steps if config.discretisation == 'euler' else config.steps - 1):
            if config.discretisation == 'euler':
                t = torch.full((1,), i / config.steps, dtype=DOUBLE)
                wanted = base(path[i], t) - flows.sigma(i, config.steps) ** 2 / 2 * adjoints[i]
            else:
                c = flows.ancestral_step(i, config.steps)
                wanted = values[i] - c.var / c.c1 * adjoints[i + 1]
            design = torch.cat([path[i], torch.ones_like(path[i])], dim=-1)
            best[i] = torch.linalg.lstsq(design, wanted).solution[:, 0]
        table = table + (best - table) / max(2, sweep - burn_in + 2)
    # The least-squares solution is the stationary point of the library's loss.
    best.requires_grad_(True)
    reference = torch.stack(values[:-1]) if values else qam.all_steps(base, path, config)
    moved = qam.all_steps(affine_by_step(best), path, config) - reference
    loss = qam.matching_loss(moved, adjoints, config)
    (gradient,) = torch.autograd.grad(loss, best)
    assert gradient[:-1].abs().max() < 1e-6
    return table


def _ode(table: Tensor, clean: bool) -> tuple[float, float]:
    """Mean and sd of the ODE's law from N(0, 1), exactly (the map is affine)."""
    steps = table.shape[0]
    flow = affine_by_step(table)
    if clean:
        flow = flows.velocity_from_clean(flow, steps)
    ends = flows.sample_ode(flow, torch.tensor([[0.0], [1.0]], dtype=DOUBLE), steps)
    return ends[0].item(), (ends[1] - ends[0]).item()


DISCRETE = [
    (5, 0.475, 0.200),
    (10, 0.3977, 0.2903),
    (20, 0.3881, 0.3231),
    (40, 0.3897, 0.3385),
    (100, 0.3940, 0.3476),
    (1000, 0.3990, 0.3530),
]
"""Mean and sd of the discrete optimum by T; the true law is .4000/.3536."""


@pytest.mark.parametrize(('steps', 'mean', 'sd'), DISCRETE)
def test_quadratic_q_has_the_known_discrete_optimum(steps, mean, sd):
    """Answer 2: m=0 s=.5 k=4 c=.8 tau=1. With affine flows E[adj_i | x_i] is affine too: solved backwards, exactly."""
    k, c, h = 4.0, 0.8, 1 / steps
    config = QamConfig(steps=steps, discretisation='euler', box=1e9)
    base = gaussian_velocity(0.0, 0.25)
    path = [torch.zeros(1, 1, dtype=DOUBLE)] * (steps + 1)
    adjoints, _ = qam.lean_adjoints(base, path, torch.ones(1, 1, dtype=DOUBLE), config)
    table = torch.zeros(steps, 2, dtype=DOUBLE)
    slope, offset = 1.0, 0.0  # of E[x_T | x_{i+1}]
    for i in reversed(range(steps)):
        t = i * h
        reference = base(torch.ones(1, 1, dtype=DOUBLE), torch.full((1,), t, dtype=DOUBLE)).item()
        pull = flows.sigma(i, steps) ** 2 / 2 * adjoints[i].item() * k
        if i == steps - 1:  # rolled out by the reference's ODE, whatever f is there
            slope = 1 + h * reference
            table[i, 0], table[i, 1] = reference - pull * slope, pull * c
            continue
        feedback, keep = 1 + 2 * h * pull * slope, 1 - h / (t + h)
        table[i, 0] = (reference - pull * slope * keep) / feedback
        table[i, 1] = -pull * (offset - c) / feedback
        offset += slope * 2 * h * table[i, 1].item()
        slope *= keep + 2 * h * table[i, 0].item()
    got = _ode(table, clean=False)
    assert got[0] == pytest.approx(mean, abs=6e-4 if steps == 5 else 6e-5)
    assert got[1] == pytest.approx(sd, abs=6e-4 if steps == 5 else 6e-5)


@pytest.mark.parametrize(('steps', 'mean', 'sd'), DISCRETE[:4])
def test_the_library_s_loss_leads_to_the_discrete_optimum(steps, mean, sd):
    """Answer 2 by sampling: roll-outs, adjoints and least squares on the loss arrive where the algebra does."""
    config = QamConfig(steps=steps, discretisation='euler', box=1e9)
    table = _solve(gaussian_velocity(0.0, 0.25), lambda a: -2 * ((a - 0.8) ** 2).sum(-1), config)
    got = _ode(table, clean=False)
    assert got[0] == pytest.approx(mean, abs=3e-3)
    assert got[1] == pytest.approx(sd, abs=3e-3)


def test_ancestral_steps_converge_to_the_tilted_law():
    """The exact discretisation of the same problem goes to .4000/.3536 as T grows."""
    errors = []
    for steps in (10, 40):
        config = QamConfig(steps=steps, discretisation='ancestral', box=1e9)
        table = _solve(gaussian_clean(0.0, 0.25), lambda a: -2 * ((a - 0.8) ** 2).sum(-1), config)
        mean, sd = _ode(table, clean=True)
        errors.append(abs(mean - 0.4) + abs(sd - 0.35355))
    assert errors[1] < 0.02
    assert errors[1] < 0.6 * errors[0]


def test_linear_tilt_moves_the_mean_by_tau_s2_g():
    """The schedule of the code moves the mean by all that is asked (the printed one by a
    fifth).
    """
    config = QamConfig(steps=100, discretisation='ancestral', box=1e9)
    table = _solve(
        gaussian_clean(0.2, 0.25), linear_q(torch.tensor([0.8], dtype=DOUBLE)), config, n=2000
    )
    mean, sd = _ode(table, clean=True)
    assert mean == pytest.approx(0.2 + 0.25 * 0.8, abs=0.01)
    assert sd == pytest.approx(0.5, abs=0.02)


def test_adjoint_is_a_vector_jacobian_product():
    """Answer 3: f_b = Rx, g = (1, -2), tau = 1.5, T = 10; a JVP gives (.0563, -.0316)."""
    r = torch.tensor([[0.3, -1.1], [0.7, -0.4]], dtype=DOUBLE)
    base = lambda x, t: x @ r.T  # noqa: E731
    path = qam.rollout(base, base, torch.zeros(1, 2, dtype=DOUBLE), EULER)
    end = 1.5 * qam.terminal_adjoint(
        linear_q(torch.tensor([1.0, -2.0], dtype=DOUBLE)), path[-1], EULER.box
    )
    adjoints, _ = qam.lean_adjoints(base, path, end, EULER)
    np.testing.assert_allclose(adjoints[0][0].numpy(), [0.01140897, -0.0540081], atol=1e-7)


def test_path_kl_of_the_optimum_is_tau2_g2_s2_over_two():
    """Answer 1: the tilted path measure is tau^2 g^2 s^2 / 2 nats from the reference's, as the laws at its end are."""
    m, s2, g, tau, steps = 0.3, 0.25, 1.7, 0.8, 1000
    for euler in (True, False):
        config = QamConfig(steps=steps, discretisation='euler' if euler else 'ancestral', box=1e9)
        base = (gaussian_velocity if euler else gaussian_clean)(m, s2)
        path = qam.rollout(base, base, torch.zeros(1, 1, dtype=DOUBLE), config)
        end = tau * qam.terminal_adjoint(linear_q(torch.tensor([g], dtype=DOUBLE)), path[-1], 1e9)
        adjoints, _ = qam.lean_adjoints(base, path, end, config)
        if euler:  # f - f_b = -sigma^2 adj / 2
            factors = [-(flows.sigma(i, steps) ** 2) / 2 for i in range(steps)]
            moved = torch.stack([f * a for f, a in zip(factors, adjoints, strict=False)])
        else:  # x1 - x1_b = -(var / c1) A
            cs = [flows.ancestral_step(i, steps) for i in range(steps - 1)]
            moved = torch.stack(
                [-c.var / c.c1 * a for c, a in zip(cs, adjoints[1:], strict=False)]
            )
        kl = trust_region.path_kl(moved, steps, euler).item()
        assert kl == pytest.approx(tau**2 * g**2 * s2 / 2, rel=0.01)


def test_the_dual_settles_where_the_path_kl_is_its_budget():
    """TRQAM: for a linear Q the path KL is g^2 s^2 / (2 L^2), so L = 3 lam has to become g s / sqrt(2 budget)."""
    g, s, budget = 1.7, 0.5, 0.05
    for lam in (1e-3, 1e3):
        for _ in range(2000):
            kl = g**2 * s**2 / (2 * (trust_region.DUAL_FACTOR * lam) ** 2)
            lam = trust_region.dual_step(lam, kl, budget, 0.02)
        assert 3 * lam == pytest.approx(g * s / math.sqrt(2 * budget), rel=0.01)


@pytest.mark.parametrize('config', [EULER, EXACT])
def test_a_dual_loss_is_l_times_the_loss_at_one_over_l(config):
    base = gaussian_velocity(0.5, 0.25) if config.euler else gaussian_clean(0.5, 0.25)
    q, x0 = linear_q(torch.ones(3)), torch.randn(8, 3)
    dual = dataclasses.replace(config, trust_region='dual')
    losses = [
        qam.actor_loss(
            lambda x, t: base(x, t) + 0.1,
            base,
            q,
            x0,
            c,
            torch.Generator().manual_seed(0),
            temperature=temperature,
        )[0].item()
        for c, temperature in ((dual, 0.4), (config, 1.2))
    ]
    assert losses[0] == pytest.approx(1.2 * losses[1])


@pytest.mark.parametrize('config', [EULER, EXACT])
def test_an_edit_that_reuses_the_reference_s_passes_has_the_loss_of_a_whole_flow(config):
    """f = f_b + edit either way; every pass of the reference is used once and answers the same."""
    base = gaussian_velocity(0.5, 0.25) if config.euler else gaussian_clean(0.5, 0.25)
    weight = torch.tensor(0.3, requires_grad=True)
    edit = lambda x, t: weight * (x + t)  # noqa: E731
    q, x0 = linear_q(torch.ones(3)), torch.randn(8, 3)
    found = []
    for loss in (
        qam.edit_loss(edit, base, q, x0, config, torch.Generator().manual_seed(0))[0],
        qam.actor_loss(
            lambda x, t: base(x, t) + edit(x, t),
            base,
            q,
            x0,
            config,
            torch.Generator().manual_seed(0),
        )[0],
    ):
        found.append((loss.item(), *torch.autograd.grad(loss, weight)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert found[0][1].item() == pytest.approx(found[1][1].item(), rel=1e-5)


@pytest.mark.parametrize('path', ['reference', 'replay'])
def test_paths_may_come_from_the_reference_or_end_at_replay_actions(path):
    """The flow's own state must not matter then, and the replay action decides where Q's slope is taken."""
    config = dataclasses.replace(EXACT, path=path)
    base, x0 = gaussian_clean(0.0, 0.25), torch.randn(8, 3)
    replay = torch.full((8, 3), 0.7)
    seen = []

    def q(a: Tensor) -> Tensor:
        seen.append(a.detach())
        return a.sum(-1)

    for push in (0.0, 5.0):
        qam.edit_loss(
            lambda x, t, push=push: 0 * x + push,
            base,
            q,
            x0,
            config,
            torch.Generator().manual_seed(0),
            replay=replay,
        )
    torch.testing.assert_close(seen[0], seen[1])
    if path == 'replay':
        torch.testing.assert_close(seen[0], replay)


def test_dimensions_outside_the_box_get_no_gradient():
    """Answer 5: nothing is asked of a dimension that Q cannot see."""
    x = torch.tensor([[2.0, -3.0], [0.5, -3.0]])
    end = qam.terminal_adjoint(linear_q(torch.tensor([1.0, 1.0])), x, box=1.0)
    torch.testing.assert_close(end, torch.tensor([[0.0, 0.0], [-1.0, 0.0]]))


@pytest.mark.parametrize('config', [EULER, EXACT])
def test_without_tilt_the_reference_is_the_optimum(config):
    """Answer 5: tau = 0 gives f* = f_b, zero loss at the reference and a positive one
    elsewhere.
    """
    base = (
        gaussian_velocity(0.1, 0.25)
        if config.discretisation == 'euler'
        else gaussian_clean(0.1, 0.25)
    )
    x0 = torch.randn(64, 1, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    flat = linear_q(torch.zeros(1, dtype=DOUBLE))
    at_base, _ = qam.actor_loss(base, base, flat, x0, config, temperature=1.0)
    moved, _ = qam.actor_loss(
        lambda x, t: base(x, t) + 0.1, base, flat, x0, config, temperature=1.0
    )
    assert at_base.item() == pytest.approx(0, abs=1e-18)
    assert moved.item() > 1e-3


@pytest.mark.parametrize('config', [EULER, EXACT])
def test_trust_region_sets_the_temperature_that_asks_for_its_share(config):
    """Whatever the scale of Q, the shift asked for at t = 0 is the given share of the chunk's
    norm.
    """
    base = (
        gaussian_velocity(0.5, 0.25)
        if config.discretisation == 'euler'
        else gaussian_clean(0.5, 0.25)
    )
    x0 = torch.randn(256, 8, generator=torch.Generator().manual_seed(2))
    for scale in (0.03, 30.0):
        _, info = qam.actor_loss(base, base, linear_q(torch.full((8,), scale)), x0, config)
        assert info['actor/shift_asked'] / info['actor/chunk_norm'] == pytest.approx(
            config.shift, rel=1e-4
        )


def test_clean_action_velocity_is_finite_at_t_one():
    f = flows.velocity_from_clean(gaussian_clean(0.0, 0.25), 10)
    x = torch.tensor([[0.7]])
    assert torch.isfinite(f(x, torch.ones(1))).all()
    torch.testing.assert_close(
        f(x, torch.tensor([0.4])), gaussian_velocity(0.0, 0.25)(x, torch.tensor([0.4]))
    )


class SmallNet(torch.nn.Module):
    """(x, t) of (..., 3) -> (..., 2). Every flow step has scales and offsets of its own: without them the late steps,
    whose loss weighs fifty times that of the early ones, decide what the shared layers learn, and the early ones, which
    decide the mode, stay noisy (total variation .01 to .05 from run to run).
    """

    def __init__(self, steps: int, hidden: int = 128) -> None:
        super().__init__()
        self.steps, self.hidden = steps, hidden
        self.layers = torch.nn.ModuleList(
            [
                torch.nn.Linear(2, hidden),
                torch.nn.Linear(hidden, hidden),
                torch.nn.Linear(hidden, 2),
            ]
        )
        self.of_step = torch.nn.Embedding(steps, 4 * hidden + 2)
        torch.nn.init.zeros_(self.of_step.weight)

    def forward(self, z: Tensor) -> Tensor:
        step = (z[..., 2] * self.steps).round().long().clamp(max=self.steps - 1)
        *sizes, last = [self.hidden] * 4 + [2]
        scale1, offset1, scale2, offset2, scale3 = self.of_step(step).split([*sizes, last], -1)
        h = torch.nn.functional.silu(self.layers[0](z[..., :2]) * (1 + scale1) + offset1)
        h = torch.nn.functional.silu(self.layers[1](h) * (1 + scale2) + offset2)
        out: Tensor = self.layers[2](h) * (1 + scale3)
        return out


@pytest.mark.long
def test_four_mode_mixture_gets_the_right_weights_from_a_small_net():
    """Answer 4: centres (+-.5, +-.5), sd .15, Q = a_1 + .5 a_2, weights .455/.167/.102/.276: after 3,000 steps a small
    net is .025 away in total variation. That is T = 10's own error, not the net's: five nets came to .022 to .027.
    """
    torch.manual_seed(0)
    centres = torch.tensor([[0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]])
    s2 = 0.15**2
    steps = 3000

    def base(x: Tensor, t: Tensor) -> Tensor:
        v = ((1 - t) ** 2 + t**2 * s2)[..., None]
        offset = x[..., None, :] - t[..., None] * centres
        weight = (-0.5 * offset.square() / v).sum(-1).softmax(-1)[..., None]
        t1 = t[..., None]
        return (weight * (centres + (t1 * s2 - (1 - t1)) / v * offset)).sum(-2)

    net = SmallNet(10)
    average = torch.optim.swa_utils.AveragedModel(net)

    def flow(x: Tensor, t: Tensor, net: torch.nn.Module = net) -> Tensor:
        return base(x, t).detach() + net(torch.cat([x, t.expand(*x.shape[:-1], 1)], -1))

    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    config = QamConfig(steps=10, discretisation='euler', box=1e9)
    q = linear_q(torch.tensor([1.0, 0.5]))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        loss, _ = qam.actor_loss(flow, base, q, torch.randn(256, 2), config, temperature=1.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step >= steps // 3:
            average.update_parameters(net)
    with torch.no_grad():
        start = torch.randn(100_000, 2)
        ends = flows.sample_ode(lambda x, t: flow(x, t, average), start, 10)
    mode = (ends[:, None] - centres).square().sum(-1).argmin(-1)
    share = torch.bincount(mode, minlength=4) / len(mode)
    variation = 0.5 * (share - torch.tensor([0.455, 0.167, 0.102, 0.276])).abs().sum().item()
    assert variation == pytest.approx(0.025, abs=0.005)
