"""RECAP: advantage-conditioned cloning (of the pi*0.6 report), on the critic of DIVL.

The flow clones everything, failures too, and is told with each chunk whether it was better than expected:
I = [A > eps], A(s, a) = Q(s, a) - V(s). Now and then it is told nothing, so that it knows the unconditioned law too.
Acting asks for I = 1, sharpened by beta: pi ~ pi_ref (pi_ref(a | I, s) / pi_ref(a | s))^beta, which for flows is
guidance, x1_hat = x1_plain + beta (x1_positive - x1_plain).

As in the report the indicator enters through the language: the sentence vector of "advantage: positive" (or negative)
is added to the instruction's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lwd_learner.algorithms.method import Method

METHOD = Method('recap', clones='everything', clones_offline=True, values=True, conditions=True)


@dataclass(frozen=True, slots=True)
class RecapConfig:
    """Settings of RECAP."""

    positive_share: float = 0.3
    """Share of chunks that count as better than expected: sets eps. A correction always does, and sets nothing."""
    dropout: float = 0.3
    """Share of samples that are told nothing."""
    beta: float = 1.5
    """Sharpness of acting; 1 asks for the positive law as it was learned."""

    def __post_init__(self) -> None:
        if not 0 < self.positive_share < 1 or not 0 <= self.dropout < 1 or self.beta < 1:
            raise ValueError(
                f'recap: positive_share {self.positive_share} must be in (0, 1), dropout {self.dropout} in [0, 1), '
                f'beta {self.beta} at least 1'
            )


def indicator(advantage: Tensor, correction: Tensor, config: RecapConfig) -> Tensor:
    """I (B,), bool: A above the eps that lets `positive_share` of the chunks pass, or a human's correction.

    Args:
        advantage: A (B,).
        correction: (B,) bool, commanded by a human who had taken over. Demonstrations are judged by A as all else.
        config: the share.
    """
    judged = advantage[~correction]
    if len(judged) == 0:
        return correction.clone()
    eps = judged.quantile(1 - config.positive_share)
    return (advantage > eps) | correction


def condition(
    text: Tensor,
    positive: Tensor,
    words: Tensor,
    dropout: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Instruction vectors (B, W) that also say I.

    Args:
        text: instruction vectors (B, W).
        positive: I (B,), bool.
        words: vectors of "advantage: negative" and "advantage: positive", (2, W).
        dropout: share that is left as it is.
        generator: of the dropout.
    """
    told = torch.rand(len(text), generator=generator, device=text.device) >= dropout
    return text + words[positive.long()] * told[:, None]
