"""How far QAM may move the policy: lambda from the critic's gradient, or from the path-space KL (TRQAM).

A fixed lambda does not transfer between critics, because only |grad Q| / lambda matters. Two rules set it:

* **shift**: the change asked of the predicted chunk at t = 0 is a share of the chunk's norm. The adjoint is linear in
  1 / lambda, so one pass at lambda = 1 gives the answer;
* **dual** (TRQAM, arXiv 2605.27079): the KL of the tilted path measure to the reference's is held at a budget by
  projected descent on the dual variable lam; the loss is L * loss_QAM(1/lambda = 1/L) with L = 3 lam.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lwd_learner.algorithms.flow import ancestral_step, sigma

DUAL_FACTOR = 3.0
"""L / lam."""
DUAL_RANGE = (1e-8, 1e8)
"""What lam is projected to."""


def shift_asked(adjoints: list[Tensor], steps: int, euler: bool) -> Tensor:
    """Norm of the change that the loss asks of the predicted clean chunk at t = 0, shape (B,).

    euler: df = -sigma_0^2 adj_0 / 2 (a velocity at t = 0 is a displacement over unit time); ancestral:
    dx1 = -(var_0 / c1_0) A_1.
    """
    if euler:
        factor, adjoint = 0.5 * sigma(0, steps) ** 2, adjoints[0]
    else:
        c = ancestral_step(0, steps)
        factor, adjoint = c.var / c.c1, adjoints[1]
    shift: Tensor = factor * torch.linalg.vector_norm(adjoint, dim=-1)
    return shift


def temperature_of_shift(shift_at_one: Tensor, chunk: Tensor, share: float) -> float:
    """lambda for which the mean shift asked for at t = 0 is `share` of the mean chunk norm.

    Args:
        shift_at_one: `shift_asked` at lambda = 1, (B,).
        chunk: end points x_T, (B, D).
        share: the trust region.
    """
    norm = chunk.norm(dim=-1).mean()
    return max(float(shift_at_one.mean() / (share * norm).clamp(min=1e-12)), 1e-12)


def path_kl(moved: Tensor, steps: int, euler: bool) -> Tensor:
    """KL of the tilted path measure to the reference's, nats, shape (B,).

    A Gaussian step whose mean is moved by d at variance v adds |d|^2 / (2 v). euler: d = 2 h (f - f_b), v = h sigma^2;
    ancestral: d = c1 (x1 - x1_b), v = var. The last step is noise-free and the reference's own.

    Args:
        moved: f - f_b along the path, (steps, B, D) or fewer of the first steps.
        steps: T.
        euler: Euler steps in velocities; otherwise exact steps in clean actions.
    """
    count = min(len(moved), steps - 1)
    squared = moved[:count].square().sum(-1)
    weights = []
    for i in range(count):
        if euler:
            weights.append(2 / (steps * sigma(i, steps) ** 2))
        else:
            c = ancestral_step(i, steps)
            weights.append(c.c1**2 / (2 * c.var))
    kl: Tensor = torch.tensor(weights, dtype=moved.dtype, device=moved.device) @ squared
    return kl


def dual_step(lam: float, kl: float, budget: float, rate: float) -> float:
    """One step of projected dual descent: lam grows while the path KL is over its budget.

    The step is relative to lam and to the budget, so that neither the scale of Q nor the length of a chunk matters.
    """
    error = max(-1.0, min(1.0, kl / budget - 1))
    return min(max(lam * math.exp(rate * error), DUAL_RANGE[0]), DUAL_RANGE[1])
