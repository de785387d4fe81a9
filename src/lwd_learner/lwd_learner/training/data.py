"""What a stage draws: transitions of everything for the critic and the policy, successes and
rescues for cloning.
"""

from __future__ import annotations

from lwd_policy_node.policy import Policy

from lwd_learner.replay import (
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
    ) -> None:
        """Draw 1:1 or as `online_share` says; all offline while there are no online transitions."""
        self._replay, self._policy, self._features = replay, policy, features
        rl, horizon = config.rl, policy.config.horizon
        self._everything = Sampler(
            replay,
            SamplerConfig(rl.batch_size, horizon, n_step, rl.gamma, online_share, seed),
            everything,
        )
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

    def batch(self) -> TensorBatch:
        """Transitions of everything."""
        return to_tensors(self._everything.sample(), self._replay, self._policy, self._features)

    def clone_batch(self) -> TensorBatch:
        """What the reference clones."""
        return to_tensors(self._cloned.sample(), self._replay, self._policy, self._features)
