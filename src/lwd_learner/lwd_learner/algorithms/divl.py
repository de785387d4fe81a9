"""DIVL: distributional implicit value learning (LWD, arXiv 2605.00416, section on offline RL).

V(s) is a categorical distribution over *scalar critic values of replay actions*; Q(s, a) is
scalar. V learns by cross-entropy towards the EMA critic's value of the replay action; Q bootstraps
from a quantile of V whose level tau falls where V is unsure. No distributional Bellman backup
takes place.

One step, in this order: V towards min Q_ema(s, a) -> y with the *new* V -> Q towards y -> EMA of
Q. The caller owns networks and optimisers; the functions here are pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Info = dict[str, float]


@dataclass(frozen=True, slots=True)
class DivlConfig:
    """Settings of DIVL. The defaults are the paper's, except where its text leaves a number
    out.
    """

    atoms: int = 201
    """K, number of atoms of V's support."""
    v_min: float = -0.1
    """Lowest atom."""
    v_max: float = 1.1
    """Highest atom."""
    tau_base: float = 0.6
    """Quantile level of a perfectly certain V (the paper: 0.6 offline, 0.9 online)."""
    tau_alpha: float = 0.3
    """How much a maximally uncertain V lowers the level."""
    tau_min: float = 0.05
    """Lower clip of the level (unpublished; never active in the published curves)."""
    tau_max: float = 0.95
    """Upper clip of the level (unpublished)."""
    statistic: Literal['adaptive', 'constant', 'mean', 'expectile'] = 'adaptive'
    """What Q bootstraps from: the adaptive quantile, a quantile at tau_base, V's mean, or (`iql`) V as the expectile of
    level tau_base."""
    quantile: Literal['interpolated', 'first_atom'] = 'interpolated'
    """Between atoms, so that a V certain of one value answers nearly that; or, as the paper, an atom."""

    @property
    def spacing(self) -> float:
        """Distance of two atoms."""
        return (self.v_max - self.v_min) / (self.atoms - 1)


def support(config: DivlConfig, device: torch.device | None = None) -> Tensor:
    """Atoms z_1 .. z_K, shape (K,), equally spaced on [v_min, v_max]."""
    return torch.linspace(config.v_min, config.v_max, config.atoms, device=device)


def project(values: Tensor, config: DivlConfig) -> Tensor:
    """Split each scalar linearly over its two neighbouring atoms: (B,) -> probabilities (B, K).

    Values outside the support are clipped to it.
    """
    position = (values.clamp(config.v_min, config.v_max) - config.v_min) / config.spacing
    low = position.floor().clamp(0, config.atoms - 2).long()
    weight_high = position - low
    target = values.new_zeros(values.shape[0], config.atoms)
    target.scatter_(1, low[:, None], (1 - weight_high)[:, None])
    target.scatter_add_(1, (low + 1)[:, None], weight_high[:, None])
    return target


def normalised_entropy(logits: Tensor) -> Tensor:
    """Hn = entropy / log K in [0, 1], shape (B,) from logits (B, K)."""
    log_p = logits.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1) / math.log(logits.shape[-1])


def adaptive_tau(logits: Tensor, config: DivlConfig) -> Tensor:
    """tau(s) = clip(tau_base - alpha Hn(s), tau_min, tau_max), shape (B,), without gradient."""
    with torch.no_grad():
        tau = config.tau_base - config.tau_alpha * normalised_entropy(logits)
        return tau.clamp(config.tau_min, config.tau_max)


def quantile(logits: Tensor, tau: Tensor, config: DivlConfig) -> Tensor:
    """V's quantile of level tau: logits (B, K), tau (B,) -> (B,), in the support.

    ``first_atom``: the first atom whose cumulative mass reaches tau (the paper).

    ``interpolated``: mid-distribution quantile, that is the cumulative mass with half of an atom's own, inverted
    linearly between atoms, less what the projection alone puts into it. A value between two atoms is split over both,
    which makes a quantile of level tau exceed it by (2 tau - 1) atoms: up to an atom too much at every backup, 1 / (1 -
    discount) times that in the end, where a chain of states longer than that can tell apart looks the same.
    """
    p = logits.softmax(-1)
    if config.quantile == 'first_atom':
        # A rounding allowance keeps a mass that is exactly tau from slipping to the next atom.
        index = (p.cumsum(-1) < (tau - 1e-6)[:, None]).sum(-1).clamp(max=config.atoms - 1)
        return support(config, logits.device)[index]
    p = torch.nn.functional.pad(
        p, (1, 1)
    )  # empty atoms, so that the outer ones have two neighbours
    middle = p.cumsum(-1) - p / 2
    right = (middle < tau[:, None]).sum(-1, keepdim=True).clamp(1, config.atoms + 1)
    below, above = middle.gather(1, right - 1)[:, 0], middle.gather(1, right)[:, 0]
    share = ((tau - below) / (above - below).clamp(min=1e-12)).clamp(0, 1)
    position = right[:, 0] - 2 + share - (2 * tau - 1)
    return (config.v_min + config.spacing * position).clamp(config.v_min, config.v_max)


def state_value(logits: Tensor, config: DivlConfig) -> Tensor:
    """The statistic of V that Q bootstraps from, shape (B,), without gradient."""
    with torch.no_grad():
        if config.statistic in ('mean', 'expectile'):
            return logits.softmax(-1) @ support(config, logits.device)
        if config.statistic == 'constant':
            return quantile(logits, torch.full_like(logits[:, 0], config.tau_base), config)
        return quantile(logits, adaptive_tau(logits, config), config)


def value_loss(logits: Tensor, ema_q: Tensor, config: DivlConfig) -> tuple[Tensor, Info]:
    """Cross-entropy of V towards the EMA critic's value of the replay action.

    Args:
        logits: V's logits at s, (B, K).
        ema_q: EMA critic heads at (s, a_replay), (heads, B); the minimum over heads is the target.
        config: the support.

    Returns:
        Scalar loss and what to log.
    """
    target = ema_q.detach().amin(0)
    loss = -(project(target, config) * logits.log_softmax(-1)).sum(-1).mean()
    with torch.no_grad():
        info = {
            'value/loss': loss.item(),
            'value/target_mean': target.mean().item(),
            'value/mean': (logits.softmax(-1) @ support(config, logits.device)).mean().item(),
            'value/entropy': normalised_entropy(logits).mean().item(),
            'value/tau_mean': adaptive_tau(logits, config).mean().item(),
        }
    return loss, info


def q_target(reward: Tensor, discount: Tensor, next_logits: Tensor, config: DivlConfig) -> Tensor:
    """y = R + discount * Quantile_tau(s')(V(s')), shape (B,), without gradient.

    Args:
        reward: n-step discounted sum of rewards inside the window, (B,).
        discount: gamma^(steps to s'), 0 where the episode ended inside the window, (B,).
        next_logits: V's logits at s', (B, K).
        config: the statistic.
    """
    return (reward + discount * state_value(next_logits, config)).detach()


def critic_loss(q: Tensor, target: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Info]:
    """Mean squared error of every head towards y: q (heads, B), target (B,), optional weight
    (B,).
    """
    error = (q - target).square()
    loss = (error if weight is None else error * weight).mean()
    info = {
        'critic/loss': loss.item(),
        'critic/q_mean': q.detach().mean().item(),
        'critic/q_spread': q.detach().std(0, correction=0).mean().item(),
        'critic/target_mean': target.mean().item(),
    }
    return loss, info


@torch.no_grad()
def ema_update(target: torch.nn.Module, source: torch.nn.Module, rate: float) -> None:
    """target <- (1 - rate) target + rate source, parameter by parameter."""
    targets = [p.detach() for p in target.parameters()]
    torch._foreach_lerp_(targets, [p.detach() for p in source.parameters()], rate)
