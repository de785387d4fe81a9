"""Flows from noise at t = 0 to the action at t = 1 in T steps of h = 1/T: schedules, exact steps, sampling.

The memoryless noise schedule is sigma_i = sqrt(2 (1 - t_i + h) / (t_i + h)); the one printed in the LWD text,
sqrt(2 (1 - w) w), moves the mean by a fifth of what is asked and is not offered.

A flow takes x (..., D) and t broadcastable to (..., 1), with the context closed over, so that all T steps of a loss go
through the network in one call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Flow = Callable[[Tensor, Tensor], Tensor]


def sigma(i: int, steps: int) -> float:
    """Memoryless noise level of Euler step i: sqrt(2 (1 - t_i + h) / (t_i + h))."""
    h = 1.0 / steps
    t = i * h
    return math.sqrt(2 * (1 - t + h) / (t + h))


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


def velocity_from_clean(clean: Flow, steps: int) -> Flow:
    """f(x, t) = (x1_hat(x, t) - x) / (1 - t), with t held at 1 - h/2 where the adjoint evaluates t -> 1."""
    limit = 1.0 - 0.5 / steps

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        held = t.clamp(max=limit)
        return (clean(x, held) - x) / (1 - held)

    return velocity


def velocity_change(clean_change: Flow, steps: int) -> Flow:
    """What a change of x1_hat is as a change of the velocity: divided by 1 - t, held as in `velocity_from_clean`."""
    limit = 1.0 - 0.5 / steps

    def change(x: Tensor, t: Tensor) -> Tensor:
        held = t.clamp(max=limit)
        return clean_change(x, held) / (1 - held)

    return change


def time_of(value: float, like: Tensor) -> Tensor:
    """A flow time as a tensor of shape (1,)."""
    return torch.full((1,), value, dtype=like.dtype, device=like.device)


class Taped:
    """A flow that keeps its passes, so that a later vector-Jacobian product needs no second forward pass."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self.passes: list[tuple[Tensor, Tensor]] = []
        """(point, value) of every call, connected by a graph."""

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """The flow's value, detached."""
        with torch.enable_grad():
            point = x.detach().requires_grad_(True)
            value = self._flow(point, t)
        self.passes.append((point, value))
        return value.detach()


def vjp(flow: Flow, x: Tensor, t: float, vector: Tensor) -> tuple[Tensor, Tensor]:
    """flow(x, t) and J^T vector with J = d flow / dx, both (B, D). J^T, not J: the adjoint is a row vector."""
    taped = Taped(flow)
    value = taped(x, time_of(t, x))
    return value, pull_back(taped.passes[0], vector)


def pull_back(kept: tuple[Tensor, Tensor], vector: Tensor) -> Tensor:
    """J^T vector of a kept pass, (B, D)."""
    point, value = kept
    (product,) = torch.autograd.grad(value, point, grad_outputs=vector)
    return product


@torch.no_grad()
def sample_ode(flow: Flow, x0: Tensor, steps: int) -> Tensor:
    """Euler integration of the velocity flow from x0 at t = 0 to the action at t = 1, (B, D)."""
    x, h = x0, 1.0 / steps
    for i in range(steps):
        x = x + h * flow(x, time_of(i * h, x))
    return x
