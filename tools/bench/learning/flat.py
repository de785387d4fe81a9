"""One full QAM update on flat observations, in the configuration that the public code was measured in."""

from __future__ import annotations

import torch
from lwd_learner.heap import keep_freed
from lwd_learner.state_learner.mlp import Precision
from lwd_learner.state_learner.qam_update import StateBatch, StateQam, StateQamConfig

from tools.bench.learning.rate import Cost, cost

BATCH, OBSERVATION, ACTION, HORIZON = 256, 28, 5, 5


def qam_update(precision: Precision, repeats: int) -> Cost:
    """Critic K = 10 of 512 x 4, cloning, adjoint matching with T = 10, Adam, averages; batch 256."""
    keep_freed()  # as bench/ogbench does
    agent = StateQam(
        StateQamConfig(observation=OBSERVATION, action=ACTION * HORIZON, precision=precision)
    )
    batch = StateBatch(
        observation=torch.randn(BATCH, OBSERVATION),
        action=torch.rand(BATCH, ACTION * HORIZON) * 2 - 1,
        reward=torch.zeros(BATCH),
        discount=torch.full((BATCH,), 0.99**HORIZON),
        next_observation=torch.randn(BATCH, OBSERVATION),
        valid=torch.ones(BATCH),
    )
    return cost(lambda: agent.update(batch), repeats)
