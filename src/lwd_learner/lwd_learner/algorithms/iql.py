"""Expectile IQL (arXiv 2110.06169): DIVL's ablation. V is one number, an expectile of Q over replay actions.

The scalar is the mean of V's atoms, so that network, support and optimiser are DIVL's and only the statistic differs.
The policy is extracted by QAM as in LWD.
"""

from __future__ import annotations

from torch import Tensor

from lwd_learner.algorithms.divl import DivlConfig, Info, support
from lwd_learner.algorithms.method import Method

METHOD = Method('iql', clones='successes', values=True, tilts=True, expectile=True)


def value_loss(logits: Tensor, ema_q: Tensor, config: DivlConfig) -> tuple[Tensor, Info]:
    """Expectile regression of V's mean towards the EMA critic's value of the replay action.

    |level - 1(u < 0)| u^2 with u = min Q - V: above level .5, values over V pull harder than values under it.

    Args:
        logits: V's logits at s, (B, K).
        ema_q: EMA critic heads at (s, a_replay), (heads, B); the minimum over heads is the target.
        config: the support; `tau_base` is the level.

    Returns:
        Scalar loss and what to log.
    """
    target = ema_q.detach().amin(0)
    value = logits.softmax(-1) @ support(config, logits.device)
    error = target - value
    weight = (config.tau_base - (error.detach() < 0).float()).abs()
    loss = (weight * error.square()).mean()
    return loss, {
        'value/loss': loss.item(),
        'value/target_mean': target.mean().item(),
        'value/mean': value.detach().mean().item(),
    }
