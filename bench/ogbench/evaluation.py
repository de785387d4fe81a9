"""Success of an agent on a task, on fixed seeds, several episodes at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from lwd_learner.state_learner.qam_update import StateQam

from bench.ogbench.tasks import Task

SEED0 = 1_000_000
"""First seed of evaluation; data have others."""
PARALLEL = 10
"""Environments that run in step, so that the policy sees them as one batch."""


@dataclass(frozen=True, slots=True)
class Result:
    """Outcome of an evaluation."""

    successes: int
    """Episodes that reached the goal in the time OGBench gives."""
    episodes: int
    """Episodes."""


class Evaluator:
    """Environments of a task."""

    def __init__(self, task: Task, horizon: int) -> None:
        """Start them; chunks have `horizon` actions, all of which are executed."""
        import gymnasium
        import ogbench.manipspace  # noqa: F401  registers the environments

        gymnasium.logger.min_level = gymnasium.logger.ERROR  # it warns of float32 boxes, each time
        self._horizon = horizon
        self._environments = [gymnasium.make(task.environment) for _ in range(PARALLEL)]

    def run(
        self, agent: StateQam, episodes: int, policy: Literal['flow', 'reference'] = 'flow'
    ) -> Result:
        """Episodes SEED0, SEED0 + 1, ... with noise of fixed seeds."""
        generator = torch.Generator().manual_seed(SEED0)
        successes = 0
        for first in range(0, episodes, PARALLEL):
            running = list(self._environments[: episodes - first])
            seen = [e.reset(seed=SEED0 + first + i)[0] for i, e in enumerate(running)]
            while running:
                observation = torch.from_numpy(np.stack(seen).astype(np.float32))
                chunks = agent.act(observation, policy=policy, generator=generator).numpy()
                left, seen = [], []
                for environment, chunk in zip(running, chunks, strict=True):
                    for action in chunk.reshape(self._horizon, -1):
                        following, _, terminated, truncated, info = environment.step(action)
                        if terminated or truncated:
                            successes += bool(info['success'])
                            break
                    else:
                        left.append(environment)
                        seen.append(following)
                running = left
        return Result(successes, episodes)
