"""QAM-E: a one-step edit behind the tilted flow (arXiv 2601.14234, section on action edits).

The flow's chunk x becomes clip(x + scale * tanh(u)), u ~ N(mean, sd) from a small network that sees the state and x. It
climbs Q directly, with an entropy bonus whose weight alpha holds the entropy at a target. The scale bounds how far it
may leave what the flow would do. Training draws u; acting takes its mean.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from lwd_learner.algorithms.flow import Flow

LOG_SD = (-5.0, 2.0)
START_ALPHA = 1e-3
"""Of the entropy's weight: Q is at most 1, and the entropy has a nat or so for each of hundreds of entries."""
ALPHA_RATE = 0.01
"""Change of log alpha in an update, per nat that an entry lacks."""


def edited(
    out: Tensor, chunk: Tensor, scale: float, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Edited chunks and the log density of the edits.

    Args:
        out: the network's mean and log sd, (B, 2 D).
        chunk: what the flow sampled, (B, D).
        scale: largest change of an entry.
        generator: of the noise.

    Returns:
        x + scale * tanh(u), unclipped (B, D), and log pi(tanh(u)) (B,).
    """
    mean, log_sd = out.chunk(2, -1)
    log_sd = log_sd.clamp(*LOG_SD)
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    u = mean + log_sd.exp() * noise
    density = -0.5 * noise.square() - log_sd - 0.5 * math.log(2 * math.pi)
    squash = 2 * (math.log(2) - u - functional.softplus(-2 * u))  # log(1 - tanh(u)^2)
    return chunk + scale * u.tanh(), (density - squash).sum(-1)


def edit_policy_loss(action: Tensor, log_pi: Tensor, slope: Tensor, alpha: float) -> Tensor:
    """-Q + alpha log pi, with Q by its gradient at the action: what is differentiated, not what Q is.

    Args:
        action: edited chunks, with graph, (B, D).
        log_pi: of the edits, with graph, (B,).
        slope: grad_a Q at the clipped action, 0 outside the box, (B, D).
        alpha: weight of the entropy.
    """
    return ((-slope * action).sum(-1) + alpha * log_pi).mean()


def alpha_step(log_alpha: float, log_pi: float, target_entropy: float, rate: float) -> float:
    """log alpha after a step of rate (H_target - H), H = -log_pi: it grows while the entropy is under its target.

    The usual step is that times alpha; with alpha as small as Q's scale wants it, it would never arrive.
    """
    return log_alpha + rate * (target_entropy + log_pi)


@torch.no_grad()
def sample_clean(base: Flow, edit: Flow, x0: Tensor, steps: int, edit_last: bool) -> Tensor:
    """What a flow given by its clean action, x1_hat + edit, makes of noise x0 (B, D), as the policy samples it.

    The edit is left out of the last step unless `edit_last`.
    """
    x = x0
    for i in range(steps):
        t = torch.full((1, 1), i / steps, device=x.device)
        clean = base(x, t)
        if edit_last or i < steps - 1:
            clean = clean + edit(x, t)
        x = x + (clean - x) / (steps - i)
    return x
