"""SFT once for all methods of a seed, then each method's offline stage and updates of a round: all of it by `train`."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lwd_learner.replay import DATASETS, Replay
from lwd_learner.replay.replay import Rows
from lwd_learner.training.checkpoint import Progress, load_learner, save_checkpoint
from lwd_learner.training.config import OfflineConfig, RlConfig, SftConfig, TrainConfig
from lwd_learner.training.data import StageData
from lwd_learner.training.features import FeatureCache
from lwd_learner.training.identity import identity
from lwd_learner.training.learner import Info, Learner
from lwd_learner.training.new_policy import new_policy, resumed_policy
from lwd_learner.training.run import TrainingRun
from lwd_policy_node.policy import Policy
from lwd_policy_node.profile import load_profile

from bench.methods.config import CompareConfig
from bench.methods.entries import ENTRIES, Entry

MADE_FOR_A_METHOD = ('edit.', 'action_edit.', 'advantage_words', 'critic')
"""What a method's policy has that SFT's has not."""
LAST_SHARE = 0.2
"""Share of a stage's updates whose losses are averaged for the results."""


def train_config(config: CompareConfig, entry: Entry, seed: int, run_dir: Path) -> TrainConfig:
    """The entry's training run as `train` would be told it."""
    # no stage ends by the clock (seconds 0): figures must not depend on what else the machine does
    base = TrainConfig(
        run_dir=run_dir,
        profile=config.profile,
        online_minutes=1.0,  # the rounds below are the online stage
        eval_episodes=0,
        sft=SftConfig(head_steps=config.sft_steps, head_seconds=0.0),
        offline=OfflineConfig(steps=config.offline_updates, seconds=0.0),
        rl=RlConfig(
            held_out_every=0
        ),  # whole episodes of their own are kept from all learning instead
        publish=False,
        seed=seed,
        threads=config.threads,
        online_threads=config.threads,
    )
    return entry.applied(base)


def sft(config: CompareConfig, store: Path, buffer: Path, seed: int, folder: Path) -> Path:
    """SFT by `train --algorithm sft` on the task's buffer; answers the policy.

    Args:
        config: the comparison.
        store: bags of the buffer.
        buffer: folder with the replay and journal that ingest made of them.
        seed: of the run.
        folder: the run's; what is there is not done again.
    """
    policy = folder / 'checkpoints' / 'sft' / 'policy.safetensors'
    if policy.exists():
        return policy
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(buffer, folder)  # one buffer for all, and nothing to ingest anew
    settings = train_config(config, ENTRIES['sft'], seed, folder)
    run = TrainingRun(replace(settings, store=str(store), online_minutes=0.0), None)
    try:
        run.execute()
    finally:
        run.close()
    return policy


class OfflineFeatures(FeatureCache):
    """Features of a method's replay whose offline part is the buffer: what was encoded once is taken from there."""

    def __init__(self, replay: Replay, policy: Policy, buffer: FeatureCache) -> None:
        """`buffer` holds the features of the buffer's replay.

        Raises:
            ValueError: the encoders differ.
        """
        super().__init__(replay, policy)
        if self.key != buffer.key:
            raise ValueError(f'features of encoder {buffer.key[:8]} do not fit {self.key[:8]}')
        self._buffer = buffer

    def _encode(self, name: str, local: Rows) -> None:
        if name != DATASETS[0]:
            super()._encode(name, local)
        elif len(local):
            found = self._buffer.take(self._replay.global_rows(name, local))
            self._keep(name, local, found)


class Method:
    """One entry in training on one task and seed."""

    def __init__(
        self, config: CompareConfig, entry: Entry, sft_policy: Path, seed: int, folder: Path
    ) -> None:
        """Start at the SFT policy."""
        self.config, self.entry, self.seed, self.folder = config, entry, seed, folder
        self.settings = train_config(config, entry, seed, folder)
        torch.set_num_threads(config.threads)
        torch.manual_seed(seed)
        trained = Policy.load(sft_policy)
        self.policy = new_policy(
            self.settings, load_profile(config.profile), trained.config.label_dim
        )
        missing, unexpected = self.policy.load_state_dict(trained.state_dict(), strict=False)
        other = [n for n in missing if not n.startswith(MADE_FOR_A_METHOD)] + unexpected
        if other:
            raise ValueError(f'{sft_policy} does not fit {entry.name}: {other[:3]}')
        self.learner = Learner(self.policy, self.settings)

    def checkpoint(self, round_: int) -> Path:
        """Folder of the checkpoint after a round; 0 is the offline stage."""
        return self.folder / 'checkpoints' / f'round_{round_}'

    def restore(self, round_: int) -> None:
        """Go on from the checkpoint after a round."""
        found = self.checkpoint(round_)
        self.policy = resumed_policy(found / 'policy.safetensors', self.settings)
        self.learner = Learner(self.policy, self.settings)
        load_learner(found, self.learner)

    def save(self, round_: int, replay: Replay) -> None:
        """Write the checkpoint after a round that learned from `replay`."""
        ended, then = ('online', 'final') if round_ else ('offline', 'online')
        progress = Progress(stage=then, ended=ended, step=self.learner.step)
        made_from = identity(self.settings, replay)
        save_checkpoint(
            *(self.folder, progress, self.policy, self.learner, f'round_{round_}'),
            identity=made_from,
        )

    def offline(self, replay: Replay, features: FeatureCache) -> Info:
        """The offline stage; answers means of its last updates."""
        if not self.entry.trains_offline:
            return {}
        limits = self.settings.offline
        data = self._data(replay, features, limits.n_step, 0.0, 10)
        clones = data.clone_batch if self.settings.clones_offline else None
        return self._updates(data, clones, limits.tau_base, self.config.offline_updates)

    def online(self, replay: Replay, features: FeatureCache, round_: int) -> Info:
        """The updates of a round; answers means of the last ones."""
        limits = self.settings.online
        features.fill()
        data = self._data(replay, features, limits.n_step, limits.online_share, 20 + round_)
        clones = data.clone_batch if self.settings.clones_online else None
        return self._updates(data, clones, limits.tau_base, self.config.round_updates)

    def _data(
        self, replay: Replay, features: FeatureCache, n_step: int, share: float, seed: int
    ) -> StageData:
        return StageData(
            replay, self.policy, features, self.settings, n_step, share, 1000 * self.seed + seed
        )

    def _updates(
        self, data: StageData, clones: Callable[[], object] | None, tau_base: float, count: int
    ) -> Info:
        kept: dict[str, list[float]] = defaultdict(list)
        for i in range(count):
            clone = clones() if clones else None
            info = self.learner.update(data.batch(), clone, tau_base, i / count)  # type: ignore[arg-type]
            if i >= (1 - LAST_SHARE) * count:
                for name, value in info.items():
                    kept[name].append(value)
        means = {name: float(np.mean(values)) for name, values in kept.items()}
        return means | {'skipped': float(self.learner.skipped)}
