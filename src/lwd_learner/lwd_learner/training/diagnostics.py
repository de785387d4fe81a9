"""What a run measures of itself now and then, apart from the losses: diagnostics.jsonl and TensorBoard.

Nothing here draws from a generator of the training, so measuring changes nothing of what is learned.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lwd_policy_node.policy import Policy
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from lwd_learner.algorithms.divl import DivlConfig, support
from lwd_learner.replay import Replay
from lwd_learner.training.config import TrainConfig
from lwd_learner.training.features import FeatureCache
from lwd_learner.training.held_out import HeldOut
from lwd_learner.training.learner import Learner
from lwd_learner.training.probe import Probe

log = logging.getLogger('train')


class Diagnostics:
    """Measures a learner every `diagnostics_seconds`, and whenever it is told to."""

    def __init__(
        self,
        config: TrainConfig,
        replay: Replay,
        policy: Policy,
        features: FeatureCache,
        board: SummaryWriter,
    ) -> None:
        """Drift is measured from the SFT checkpoint of the run folder, where it is."""
        start = config.run_dir / 'checkpoints' / 'sft' / 'policy.safetensors'
        self._config, self._board = config, board
        self._path: Path = config.run_dir / 'diagnostics.jsonl'
        self._probe = Probe(replay, policy, features, start if start.exists() else None)
        rl = config.rl
        self._held_out = HeldOut(replay, policy, features, rl.gamma, rl.held_out_every)
        self._measured = -math.inf

    def measure_if_due(self, learner: Learner, stage: str, step: int, logged: int) -> None:
        """Measure when the last time is long enough ago."""
        if time.monotonic() - self._measured >= self._config.diagnostics_seconds:
            self.measure(learner, stage, step, logged)

    def measure(self, learner: Learner, stage: str, step: int, logged: int) -> dict[str, float]:
        """Measure now; answers what is finite of it.

        Args:
            learner: what to measure.
            stage: of the run.
            step: in the stage.
            logged: steps of all stages, TensorBoard's axis.
        """
        self._measured = time.monotonic()
        probed, drawn = self._probe.measure(learner)
        info = {f'probe/{name}': value for name, value in probed.items()}
        if learner.method.values:
            info |= self._held_out.measure(learner.critic_ema)
        info = {name: value for name, value in info.items() if math.isfinite(value)}
        with self._path.open('a') as file:
            file.write(json.dumps({'stage': stage, 'step': step, **info}) + '\n')
        for name, value in info.items():
            self._board.add_scalar(f'{stage}/{name}', value, logged)
        self._draw(drawn, stage, logged)
        return info

    def critic(self, learner: Learner, stage: str, logged: int) -> dict[str, float]:
        """Measure at the end of a stage; answers, and logs, how well the critic judges held-out episodes."""
        found = self.measure(learner, stage, learner.step, logged)
        critic = {k.removeprefix('held_out/'): v for k, v in found.items() if 'held_out/' in k}
        if 'auc_later' in critic or 'auc_first_second' in critic:
            log.info(
                '%s: critic on %d held-out episodes: AUC %.2f in the first second, %.2f later',
                stage,
                critic['episodes'],
                critic.get('auc_first_second', math.nan),
                critic.get('auc_later', math.nan),
            )
        return critic

    def _draw(self, drawn: Mapping[str, Tensor], stage: str, logged: int) -> None:
        for name, values in drawn.items():
            if name == 'v':
                self._board.add_histogram_raw(  # type: ignore[no-untyped-call]
                    f'{stage}/probe/value_distribution',
                    **_as_histogram(values, self._config.divl),
                    global_step=logged,
                )
            else:
                self._board.add_histogram(f'{stage}/probe/{name}', values, logged)  # type: ignore[no-untyped-call]


def _as_histogram(probability: Tensor, config: DivlConfig) -> dict[str, Any]:
    """V's mean distribution (K,) as TensorBoard wants it: a bucket an atom."""
    atoms = support(config).double()
    p = probability.double()
    half = (atoms[1] - atoms[0]) / 2
    return {
        'min': atoms[0].item(),
        'max': atoms[-1].item(),
        'num': 1,
        'sum': torch.dot(p, atoms).item(),
        'sum_squares': torch.dot(p, atoms.square()).item(),
        'bucket_limits': (atoms + half).tolist(),
        'bucket_counts': p.tolist(),
    }
