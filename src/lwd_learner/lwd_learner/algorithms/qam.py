"""QAM: Q-learning with adjoint matching (arXiv 2601.14234), the policy extraction of LWD.

Target law: pi*(a|s) proportional to pi_b(a|s) exp(Q(s, a) / lambda). A flow runs from noise at t =
0 to the action at t = 1 in T steps of h = 1/T; f_b is the reference flow, f the trained one. The
memoryless noise schedule is sigma_i = sqrt(2 (1 - t_i + h) / (t_i + h)); the schedule printed in
the LWD text, sqrt(2 (1 - w) w), moves the mean by a fifth of what is asked and is not offered.

Two discretisations behind one interface:

* ``euler``: the paper's, in velocities.
* ``ancestral``: exact steps of the same memoryless process for heads that predict the clean
  action. Euler at T = 10 lets the adjoint grow threefold on the way to t = 0; these steps do not.

Callables take x (..., D) and t broadcastable to (..., 1), with the context closed over, so that
all T steps of the loss go through the network in one call. Only a vector-Jacobian product of f_b
is needed (lean adjoint): J^T a, not J a.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Info = dict[str, float]
Flow = Callable[[Tensor, Tensor], Tensor]
QFunction = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class QamConfig:
    """Settings of adjoint matching."""

    steps: int = 10
    """T, flow steps of the training roll-out; at least 2."""
    discretisation: Literal['ancestral', 'euler'] = 'ancestral'
    """Exact steps for clean-action heads, or the paper's Euler steps in velocities."""
    temperature: float | None = None
    """lambda. None: set from the critic's gradient by the trust region below (a fixed value does
    not transfer).
    """
    shift: float = 0.15
    """Trust region: the change asked of the predicted chunk at t = 0, as a share of the chunk's
    norm.
    """
    box: float = 4.0
    """Q's gradient is taken at actions clipped to +-box (normalised units), and is zero in clipped
    dimensions.
    """

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ValueError(
                f'qam.steps is {self.steps}; adjoint matching needs at least 2 flow steps'
            )


def sigma(i: int, steps: int) -> float:
    """Memoryless noise level of Euler step i: sqrt(2 (1 - t_i + h) / (t_i + h))."""
    h = 1.0 / steps
    t = i * h
    return math.sqrt(2 * (1 - t + h) / (t + h))


def velocity_from_clean(clean: Flow, steps: int) -> Flow:
    """f(x, t) = (x1_hat(x, t) - x) / (1 - t), with t held at 1 - h/2 where the adjoint evaluates t
    -> 1.
    """
    limit = 1.0 - 0.5 / steps

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        held = t.clamp(max=limit)
        return (clean(x, held) - x) / (1 - held)

    return velocity


@dataclass(frozen=True, slots=True)
class AncestralStep:
    """Coefficients of one exact step t -> u = t + h: x' = cx x + c1 x1_hat + sqrt(var) eps."""

    cx: float
    c1: float
    var: float


def ancestral_step(i: int, steps: int) -> AncestralStep:
    """Coefficients of step i; the last one is the noise-free x' = x1_hat."""
    h = 1.0 / steps
    t, u = i * h, (i + 1) * h
    if i == steps - 1:
        return AncestralStep(0.0, 1.0, 0.0)
    s2 = (1 - t) ** 2 - (t / u) ** 2 * (1 - u) ** 2
    scale = (1 - t) ** 2
    return AncestralStep((t / u) * (1 - u) ** 2 / scale, u * s2 / scale, s2 * (1 - u) ** 2 / scale)


def terminal_adjoint(q: QFunction, x_end: Tensor, box: float) -> Tensor:
    """-grad_a sum Q(clip(a, -box, box)) at a = x_T, for lambda = 1: (B, D) -> (B, D).

    Dimensions outside the box get exactly zero.
    """
    with torch.enable_grad():
        a = x_end.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(q(a.clamp(-box, box)).sum(), a)
    return -gradient


def vjp(flow: Flow, x: Tensor, t: float, vector: Tensor) -> tuple[Tensor, Tensor]:
    """flow(x, t) and J^T vector with J = d flow / dx, both (B, D)."""
    with torch.enable_grad():
        point = x.detach().requires_grad_(True)
        value = flow(point, _time(t, point))
        (product,) = torch.autograd.grad(value, point, grad_outputs=vector)
    return value.detach(), product


def _time(value: float, like: Tensor) -> Tensor:
    return torch.full((1,), value, dtype=like.dtype, device=like.device)


@torch.no_grad()
def rollout(
    flow: Flow, base: Flow, x0: Tensor, config: QamConfig, generator: torch.Generator | None = None
) -> list[Tensor]:
    """One memoryless path per batch state by the current flow; the last step is the reference's
    plain ODE step.

    Args:
        flow: f (velocity for ``euler``, clean action for ``ancestral``).
        base: f_b, the same kind.
        x0: start noise, standard normal, (B, D).
        config: steps and discretisation.
        generator: source of the noise.

    Returns:
        x_0 .. x_T, each (B, D).
    """
    steps, h = config.steps, 1.0 / config.steps
    path = [x0]
    x = x0
    for i in range(steps):
        t = i * h
        last = i == steps - 1
        f = base if last else flow
        eps = (
            torch.zeros_like(x)
            if last
            else torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        )
        if config.discretisation == 'euler':
            velocity = f(x, _time(t, x))
            drift = velocity if last else 2 * velocity - x / (t + h)
            x = x + h * drift + math.sqrt(h) * sigma(i, steps) * eps
        else:
            c = ancestral_step(i, steps)
            x = c.cx * x + c.c1 * f(x, _time(t, x)) + math.sqrt(c.var) * eps
        path.append(x)
    return path


def lean_adjoints(
    base: Flow, path: list[Tensor], end: Tensor, config: QamConfig
) -> tuple[list[Tensor], list[Tensor]]:
    """Backward recursion of the lean adjoint through the reference only.

    euler:     adj_i = adj_{i+1} + h J^T adj_{i+1}, J = d/dx [2 f_b(x, t_i + h) - x / (t_i + h)] at
        x_i
    ancestral: A_i = cx A_{i+1} + c1 J^T A_{i+1},   J = d/dx x1_hat_b(x, t_i) at x_i

    Args:
        base: f_b.
        path: x_0 .. x_T.
        end: adj_T, (B, D).
        config: steps and discretisation.

    Returns:
        adjoints 0 .. T, and the reference's values met on the way (ancestral: x1_hat_b(x_i, t_i)
        for i < T, with which the loss saves its own call; euler: empty).
    """
    steps, h = config.steps, 1.0 / config.steps
    adjoints = [end]
    values: list[Tensor] = []
    for i in reversed(range(steps)):
        a = adjoints[-1]
        if config.discretisation == 'euler':
            u = (i + 1) * h
            _, product = vjp(base, path[i], u, a)
            adjoints.append(a + h * (2 * product - a / u))
        else:
            c = ancestral_step(i, steps)
            value, product = vjp(base, path[i], i * h, a)
            values.append(value)
            adjoints.append(c.cx * a + c.c1 * product)
    return adjoints[::-1], values[::-1]


def shift_asked(adjoints: list[Tensor], config: QamConfig) -> Tensor:
    """Norm of the change that the loss asks of the predicted clean chunk at t = 0, shape (B,).

    euler: df = -sigma_0^2 adj_0 / 2 (a velocity at t = 0 is a displacement over unit time);
    ancestral: dx1 = -(var_0 / c1_0) A_1.
    """
    if config.discretisation == 'euler':
        factor, adjoint = 0.5 * sigma(0, config.steps) ** 2, adjoints[0]
    else:
        c = ancestral_step(0, config.steps)
        factor, adjoint = c.var / c.c1, adjoints[1]
    shift: Tensor = factor * torch.linalg.vector_norm(adjoint, dim=-1)
    return shift


def trust_region_temperature(shift_at_one: Tensor, chunk: Tensor, share: float) -> float:
    """lambda for which the mean shift asked for at t = 0 is `share` of the mean chunk norm.

    The adjoint is linear in 1/lambda, so one pass at lambda = 1 gives it exactly.

    Args:
        shift_at_one: `shift_asked` at lambda = 1, (B,).
        chunk: end points x_T, (B, D).
        share: the trust region.
    """
    norm = chunk.norm(dim=-1).mean()
    return max(float(shift_at_one.mean() / (share * norm).clamp(min=1e-12)), 1e-12)


def matching_loss(
    flow: Flow,
    base: Flow,
    path: list[Tensor],
    adjoints: list[Tensor],
    values: list[Tensor],
    config: QamConfig,
) -> Tensor:
    """Adjoint-matching regression of f - f_b, summed over steps and dimensions, mean over the
    batch.

    euler: sum_i |2 (f - f_b) / sigma_i + sigma_i adj_i|^2;
    ancestral: sum_{i < T-1} |c1 (x1 - x1_b) / sqrt(var) + sqrt(var) A_{i+1}|^2.
    """
    count = len(values)

    def difference(x: Tensor, t: Tensor) -> Tensor:
        if config.discretisation == 'ancestral':
            return flow(x, t) - torch.stack(values[: count - 1])
        with torch.no_grad():
            reference = base(x, t)
        return flow(x, t) - reference

    return difference_loss(difference, path, adjoints, config)


def difference_loss(
    difference: Flow, path: list[Tensor], adjoints: list[Tensor], config: QamConfig
) -> Tensor:
    """The same regression, given f - f_b as a callable that takes all steps at once."""
    steps = config.steps
    euler = config.discretisation == 'euler'
    count = steps if euler else steps - 1
    x = torch.stack(path[:count])

    def per_step(numbers: list[float]) -> Tensor:
        return torch.tensor(numbers, dtype=x.dtype, device=x.device).reshape(-1, 1, 1)

    moved = difference(x, per_step([i / steps for i in range(count)]))
    if euler:
        s = per_step([sigma(i, steps) for i in range(count)])
        residual = 2 * moved / s + s * torch.stack(adjoints[:count])
    else:
        cs = [ancestral_step(i, steps) for i in range(count)]
        sd = per_step([math.sqrt(c.var) for c in cs])
        residual = per_step([c.c1 for c in cs]) * moved / sd + sd * torch.stack(
            adjoints[1 : count + 1]
        )
    return residual.square().sum((0, 2)).mean()


def actor_loss(
    flow: Flow,
    base: Flow,
    q: QFunction,
    x0: Tensor,
    config: QamConfig,
    generator: torch.Generator | None = None,
    temperature: float | None = None,
) -> tuple[Tensor, Info]:
    """The QAM loss at one batch of states.

    Args:
        flow: f, with gradient.
        base: f_b, frozen.
        q: Q(s, a) for the batch's states, (B, D) -> (B,).
        x0: start noise, (B, D).
        config: steps, discretisation, trust region.
        generator: source of the roll-out's noise.
        temperature: lambda to use (a smoothed one); otherwise config's, otherwise the trust
            region's of this batch.

    Returns:
        Scalar loss and what to log: ``actor/temperature_region`` is this batch's trust-region
        lambda.
    """
    path = rollout(flow, base, x0, config, generator)
    end = terminal_adjoint(q, path[-1], config.box)
    adjoints, values = lean_adjoints(base, path, end, config)
    asked = shift_asked(adjoints, config)
    region = trust_region_temperature(asked, path[-1], config.shift)
    lam = temperature or config.temperature or region
    scaled = [a / lam for a in adjoints]
    loss = matching_loss(flow, base, path, scaled, values, config)
    info = _info(loss, lam, region, end, asked, path, adjoints)
    return loss, info


def edit_loss(
    edit: Flow,
    base: Flow,
    q: QFunction,
    x0: Tensor,
    config: QamConfig,
    generator: torch.Generator | None = None,
    temperature: float | None = None,
) -> tuple[Tensor, Info]:
    """The QAM loss for a policy f = f_b + edit that shares the reference: see `actor_loss`.

    The difference to the reference is the edit itself, so neither flow is evaluated again for the
    loss.
    """

    def flow(x: Tensor, t: Tensor) -> Tensor:
        return base(x, t) + edit(x, t)

    path = rollout(flow, base, x0, config, generator)
    end = terminal_adjoint(q, path[-1], config.box)
    adjoints, _ = lean_adjoints(base, path, end, config)
    asked = shift_asked(adjoints, config)
    region = trust_region_temperature(asked, path[-1], config.shift)
    lam = temperature or config.temperature or region
    loss = difference_loss(edit, path, [a / lam for a in adjoints], config)
    info = _info(loss, lam, region, end, asked, path, adjoints)
    with torch.no_grad():
        moved = torch.linalg.vector_norm(edit(x0, _time(0.0, x0)), dim=-1).mean()
    info['actor/shift_learned'] = moved.item()
    return loss, info


def _info(
    loss: Tensor,
    lam: float,
    region: float,
    end: Tensor,
    asked: Tensor,
    path: list[Tensor],
    adjoints: list[Tensor],
) -> Info:
    return {
        'actor/loss': loss.item(),
        'actor/temperature': lam,
        'actor/temperature_region': region,
        'actor/grad_q_norm': torch.linalg.vector_norm(end, dim=-1).mean().item(),
        'actor/shift_asked': asked.mean().item() / lam,
        'actor/chunk_norm': torch.linalg.vector_norm(path[-1], dim=-1).mean().item(),
        'actor/adjoint_growth': (adjoints[1].norm() / end.norm().clamp(min=1e-12)).item(),
    }


@torch.no_grad()
def sample_ode(flow: Flow, x0: Tensor, steps: int) -> Tensor:
    """Euler integration of the velocity flow from x0 at t = 0 to the action at t = 1, (B, D)."""
    x, h = x0, 1.0 / steps
    for i in range(steps):
        x = x + h * flow(x, _time(i * h, x))
    return x
