"""SFT: flow matching with clean-action prediction (behaviour cloning of whole action chunks).

For t in [0, 1] the input is x_t = (1 - t) noise + t a; the head predicts a from (x_t, t, context).
A small head that predicts the velocity instead reaches about half the success on the same data, so
the clean action it is; the velocity follows as (x1_hat - x) / (1 - t).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lwd_learner.algorithms.method import Method

Info = dict[str, float]
METHOD = Method('sft', clones='nothing')
"""The control that never learns from what robots do."""
CleanHead = Callable[[Tensor, Tensor], Tensor]
"""x1_hat(x, t): x (..., D), t broadcastable (..., 1) -> (..., D); the context is closed over."""


def flow_matching_loss(
    head: CleanHead,
    action: Tensor,
    mask: Tensor,
    generator: torch.Generator | None = None,
    weight: Tensor | None = None,
    draws: int = 1,
) -> tuple[Tensor, Info]:
    """Mean squared error of the predicted clean chunk over valid steps.

    Args:
        head: the clean-action head with its context closed over.
        action: normalised chunks, (B, D) with D = H * A.
        mask: 1 for valid entries, 0 for padding after a cut, (B, D).
        generator: source of the noise and of t.
        weight: optional weight per sample, (B,).
        draws: noise levels per sample; the prefix is encoded once for all of them.

    Returns:
        Scalar loss and what to log.
    """
    shape = (draws, *action.shape)
    noise = torch.randn(shape, generator=generator, device=action.device)
    t = torch.rand((draws, action.shape[0], 1), generator=generator, device=action.device)
    x_t = (1 - t) * noise + t * action
    error = (head(x_t, t) - action).square() * mask
    per_sample = error.sum(-1).mean(0) / mask.sum(-1).clamp(min=1)
    loss = (
        per_sample.mean()
        if weight is None
        else (per_sample * weight).sum() / weight.sum().clamp(min=1e-6)
    )
    return loss, {'sft/loss': loss.item()}
