"""QAM: Q-learning with adjoint matching (arXiv 2601.14234), the policy extraction of LWD.

Target law: pi*(a|s) proportional to pi_b(a|s) exp(Q(s, a) / lambda), f_b the reference flow, f the trained one.

1. Roll out the memoryless process of the *current* flow without gradient, one path per state.
2. At its end take the critic's action gradient; carry it back through the *reference* by vector-Jacobian products (the
   lean adjoint).
3. Regress the change of the flow onto it.

Two discretisations behind one interface:

* ``euler``: the paper's, in velocities.
* ``ancestral``: exact steps of the same memoryless process for heads that predict the clean action. Euler at T = 10
  lets the adjoint grow threefold on the way to t = 0; these steps do not.

`flow` has the schedules and steps, `trust_region` the rules for lambda, `qam_config` the settings.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lwd_learner.algorithms.flow import (
    Flow,
    Taped,
    ancestral_step,
    pull_back,
    sigma,
    time_of,
    vjp,
)
from lwd_learner.algorithms.qam_config import QamConfig
from lwd_learner.algorithms.trust_region import (
    DUAL_FACTOR,
    path_kl,
    shift_asked,
    temperature_of_shift,
)

Info = dict[str, float]
QFunction = Callable[[Tensor], Tensor]


def terminal_adjoint(q: QFunction, x_end: Tensor, box: float) -> Tensor:
    """-grad_a sum Q(clip(a, -box, box)) at a = x_T, for lambda = 1: (B, D) -> (B, D).

    Dimensions outside the box get exactly zero.
    """
    with torch.enable_grad():
        a = x_end.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(q(a.clamp(-box, box)).sum(), a)
    return -gradient


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
        if config.euler:
            velocity = f(x, time_of(t, x))
            drift = velocity if last else 2 * velocity - x / (t + h)
            x = x + h * drift + math.sqrt(h) * sigma(i, steps) * eps
        else:
            c = ancestral_step(i, steps)
            x = c.cx * x + c.c1 * f(x, time_of(t, x)) + math.sqrt(c.var) * eps
        path.append(x)
    return path


def lean_adjoints(
    base: Flow,
    path: list[Tensor],
    end: Tensor,
    config: QamConfig,
    kept: list[tuple[Tensor, Tensor]] | None = None,
) -> tuple[list[Tensor], list[Tensor]]:
    """Backward recursion of the lean adjoint through the reference only.

    euler:     adj_i = adj_{i+1} + h J^T adj_{i+1}, J = d/dx [2 f_b(x, t_i + h) - x / (t_i + h)] at x_i
    ancestral: A_i = cx A_{i+1} + c1 J^T A_{i+1},   J = d/dx x1_hat_b(x, t_i) at x_i

    Args:
        base: f_b.
        path: x_0 .. x_T.
        end: adj_T, (B, D).
        config: steps and discretisation.
        kept: the reference's passes at (x_i, t_i), if the roll-out kept them; of use to ``ancestral`` only.

    Returns:
        adjoints 0 .. T, and the reference's values met on the way (ancestral: x1_hat_b(x_i, t_i) for i < T, with which
        the loss saves its own call; euler: empty).
    """
    steps, h = config.steps, 1.0 / config.steps
    adjoints = [end]
    values: list[Tensor] = []
    for i in reversed(range(steps)):
        a = adjoints[-1]
        if config.euler:
            u = (i + 1) * h
            _, product = vjp(base, path[i], u, a)
            adjoints.append(a + h * (2 * product - a / u))
            continue
        c = ancestral_step(i, steps)
        if kept:
            value, product = kept[i][1].detach(), pull_back(kept[i], a)
        else:
            value, product = vjp(base, path[i], i * h, a)
        values.append(value)
        adjoints.append(c.cx * a + c.c1 * product)
    return adjoints[::-1], values[::-1]


def matching_loss(moved: Tensor, adjoints: list[Tensor], config: QamConfig) -> Tensor:
    """Regression of f - f_b onto the adjoint, summed over steps and dimensions, mean over the batch.

    euler:     sum_i |2 (f - f_b) / sigma_i + sigma_i adj_i|^2
    ancestral: sum_{i < T-1} |c1 (x1 - x1_b) / sqrt(var) + sqrt(var) A_{i+1}|^2

    Args:
        moved: f - f_b at (x_i, t_i), with gradient: (T, B, D) for euler, (T - 1, B, D) for ancestral.
        adjoints: adj_0 .. adj_T at the wanted lambda.
        config: steps and discretisation.
    """
    steps, count = config.steps, len(moved)

    def per_step(numbers: list[float]) -> Tensor:
        return torch.tensor(numbers, dtype=moved.dtype, device=moved.device).reshape(-1, 1, 1)

    if config.euler:
        s = per_step([sigma(i, steps) for i in range(count)])
        residual = 2 * moved / s + s * torch.stack(adjoints[:count])
    else:
        cs = [ancestral_step(i, steps) for i in range(count)]
        sd = per_step([math.sqrt(c.var) for c in cs])
        c1 = per_step([c.c1 for c in cs])
        residual = c1 * moved / sd + sd * torch.stack(adjoints[1 : count + 1])
    return residual.square().sum((0, 2)).mean()


def all_steps(flow: Flow, path: list[Tensor], config: QamConfig) -> Tensor:
    """A flow at every step that the loss has, in one call: (T or T - 1, B, D)."""
    count = config.steps if config.euler else config.steps - 1
    x = torch.stack(path[:count])
    t = torch.arange(count, dtype=x.dtype, device=x.device) / config.steps
    return flow(x, t.reshape(-1, 1, 1))


def actor_loss(
    flow: Flow,
    base: Flow,
    q: QFunction,
    x0: Tensor,
    config: QamConfig,
    generator: torch.Generator | None = None,
    temperature: float | None = None,
    replay: Tensor | None = None,
) -> tuple[Tensor, Info]:
    """The QAM loss at one batch of states, for a flow of its own.

    Args:
        flow: f, with gradient.
        base: f_b, frozen.
        q: Q(s, a) for the batch's states, (B, D) -> (B,).
        x0: start noise, (B, D).
        config: steps, discretisation, trust region.
        generator: source of the roll-out's noise.
        temperature: lambda to use (a smoothed one; for `dual` the dual variable); otherwise config's, otherwise the
            trust region's of this batch.
        replay: replay actions (B, D), for `path` replay.

    Returns:
        Scalar loss and what to log: ``actor/temperature_region`` is this batch's trust-region lambda, ``adjoint/<i>``
        the mean norm of adj_i at lambda = 1.
    """
    roller = flow if config.path == 'current' else base
    path = rollout(roller, base, x0, config, generator)
    if config.path == 'replay' and replay is not None:
        path[-1] = replay

    def moved(values: list[Tensor]) -> Tensor:
        if values:
            return all_steps(flow, path, config) - torch.stack(values[: config.steps - 1])
        with torch.no_grad():
            reference = all_steps(base, path, config)
        return all_steps(flow, path, config) - reference

    return _tilt(moved, base, q, path, config, temperature)


def edit_loss(
    edit: Flow,
    base: Flow,
    q: QFunction,
    x0: Tensor,
    config: QamConfig,
    generator: torch.Generator | None = None,
    temperature: float | None = None,
    replay: Tensor | None = None,
) -> tuple[Tensor, Info]:
    """The QAM loss for a policy f = f_b + edit that shares the reference: see `actor_loss`.

    The difference to the reference is the edit itself, and the roll-out's passes of the reference are kept for the
    adjoint: no flow is evaluated twice at a point but the edit, whose gradient is wanted.
    """
    taped = Taped(base)

    def flow(x: Tensor, t: Tensor) -> Tensor:
        return taped(x, t) + edit(x, t)

    path = rollout(flow if config.path == 'current' else taped, taped, x0, config, generator)
    if config.path == 'replay' and replay is not None:
        path[-1] = replay
    loss, info = _tilt(
        lambda _: all_steps(edit, path, config), base, q, path, config, temperature, taped.passes
    )
    with torch.no_grad():
        changed = torch.linalg.vector_norm(edit(x0, time_of(0.0, x0)), dim=-1).mean()
    info['actor/shift_learned'] = changed.item()
    return loss, info


def _tilt(
    moved_at: Callable[[list[Tensor]], Tensor],
    base: Flow,
    q: QFunction,
    path: list[Tensor],
    config: QamConfig,
    temperature: float | None,
    kept: list[tuple[Tensor, Tensor]] | None = None,
) -> tuple[Tensor, Info]:
    """Adjoints of a path, lambda, and the loss; `moved_at` gets the reference's values met on the way."""
    end = terminal_adjoint(q, path[-1], config.box)
    adjoints, values = lean_adjoints(base, path, end, config, kept)
    asked = shift_asked(adjoints, config.steps, config.euler)
    region = temperature_of_shift(asked, path[-1], config.shift)
    lam = temperature or config.temperature or region
    dual = config.trust_region == 'dual' and config.temperature is None
    scale = DUAL_FACTOR * lam if dual else lam
    moved = moved_at(values)
    loss = matching_loss(moved, [a / scale for a in adjoints], config)
    if dual:
        loss = scale * loss
    with torch.no_grad():
        kl = path_kl(moved.detach(), config.steps, config.euler)
        norms = torch.stack(adjoints).norm(dim=-1).mean(-1).tolist()
    info = {
        'actor/loss': loss.item(),
        'actor/temperature': scale,
        'actor/temperature_region': region,
        'actor/grad_q_norm': torch.linalg.vector_norm(end, dim=-1).mean().item(),
        'actor/shift_asked': asked.mean().item() / scale,
        'actor/chunk_norm': torch.linalg.vector_norm(path[-1], dim=-1).mean().item(),
        'actor/adjoint_growth': (adjoints[1].norm() / end.norm().clamp(min=1e-12)).item(),
        'actor/path_kl': kl.mean().item(),
        **{f'adjoint/{i:02d}': norm for i, norm in enumerate(norms)},
    }
    return loss, info
