"""What a stage draws: transitions of everything for the critic and the policy (but of the episodes that are held out
to measure the critic on), and what the method clones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from lwd_policy_node.policy import Policy

from lwd_learner.replay import (
    AdaptiveConfig,
    Batch,
    Replay,
    Sampler,
    SamplerConfig,
    demonstrations_and_human,
    everything,
    rescues_and_successes,
)
from lwd_learner.training.batches import TensorBatch, to_tensors
from lwd_learner.training.config import TrainConfig
from lwd_learner.training.features import FeatureCache
from lwd_learner.training.held_out import seen


class StageData:
    """Samplers of one RL stage over a growing replay."""

    def __init__(
        self,
        replay: Replay,
        policy: Policy,
        features: FeatureCache,
        config: TrainConfig,
        n_step: int,
        online_share: float,
        seed: int,
        adaptive: bool = False,
    ) -> None:
        """Draw 1:1 or as `online_share` says; all offline while there are no online transitions.

        With `adaptive` each task's share follows the losses given to `report` (SOP).
        """
        self._replay, self._policy, self._features = replay, policy, features
        rl, horizon = config.rl, policy.config.horizon
        follow = AdaptiveConfig() if adaptive else None
        self._everything = Sampler(
            replay,
            SamplerConfig(rl.batch_size, horizon, n_step, rl.gamma, online_share, seed, follow),
            seen(rl.held_out_every),
        )
        self._drawn: Batch | None = None
        cloned = {
            'demonstrations and human': demonstrations_and_human,
            'everything': everything,
        }.get(config.method.clones, rescues_and_successes)
        self._cloned = Sampler(
            replay,
            SamplerConfig(rl.clone_batch_size, horizon, 1, rl.gamma, online_share, seed + 1),
            cloned,
        )

    def refresh(self) -> None:
        """Take in what was ingested since."""
        self._everything.refresh()
        self._cloned.refresh()
        self._features.fill()

    def behind(self) -> bool:
        """Whether the replay holds rows that were not taken in."""
        seen = self._everything.state_dict()['rows']
        return any(len(self._replay.index(name)) > rows for name, rows in seen.items())

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, so that the next batch is the one that would have been."""
        return {
            'everything': self._everything.state_dict(),
            'cloned': self._cloned.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a `state`; rows that came later wait for the next `refresh`.

        Raises:
            ReplayError: the replay holds fewer rows than it did then.
        """
        self._everything.load_state_dict(state['everything'])
        self._cloned.load_state_dict(state['cloned'])

    def batch(self) -> TensorBatch:
        """Transitions of everything."""
        self._drawn = self._everything.sample()
        return to_tensors(self._drawn, self._replay, self._policy, self._features)

    def report(self, error: npt.NDArray[np.floating[Any]] | None) -> None:
        """Tell an adaptive mix the loss of each transition of the last batch, (B,)."""
        if self._drawn is not None and error is not None:
            self._everything.report(self._drawn, error)

    def weights(self) -> dict[str, float]:
        """What the last batch was drawn from: its online share, each task's share of it and its online share."""
        drawn = self._drawn
        if drawn is None:
            return {}
        info = {'sampler/online': float(drawn.dataset.mean())}
        for task in np.unique(drawn.task_id).tolist():
            of = drawn.task_id == task
            name = self._replay.tasks[task]
            info[f'sampler/{name}'] = float(of.mean())
            info[f'sampler/{name}_online'] = float(drawn.dataset[of].mean())
        return info

    def clone_batch(self) -> TensorBatch:
        """What the reference clones."""
        return to_tensors(self._cloned.sample(), self._replay, self._policy, self._features)
