"""DIVL + QAM of a VLA preset on made-up features, and what loading takes of a learner's time."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from lwd_learner.replay import EpisodeFrames, Replay
from lwd_learner.training.batches import TensorBatch
from lwd_learner.training.config import RlConfig, TrainConfig
from lwd_learner.training.data import StageData
from lwd_learner.training.features import FeatureCache
from lwd_learner.training.learner import Learner
from lwd_learner.training.sft_stage import fit_statistics
from lwd_policy_node.policy import Policy, PolicyConfig, preset
from lwd_policy_node.profile import load_profile

from tools.bench.learning.rate import Cost, cost

PROFILE = 'g1_laptop'
EPISODES, TICKS = 8, 120


def update(name: str, batch_size: int, repeats: int) -> Cost:
    """One step of everything: V, Q, EMA, cloning reference, adjoint matching, all at one batch size."""
    config = preset(name, load_profile(PROFILE))
    rl = RlConfig(
        batch_size=batch_size,
        clone_batch_size=batch_size,
        actor_batch_size=batch_size,
        actor_every=1,
    )
    learner = Learner(Policy(config), TrainConfig(rl=rl))
    batch = _noise(config, batch_size)
    return cost(lambda: learner.update(batch, batch, 0.6), repeats)


def idle_share(repeats: int) -> float:
    """Share of a learner's wall time that goes to drawing and reading batches (`tiny`, default sizes)."""
    profile = load_profile(PROFILE)
    with tempfile.TemporaryDirectory() as folder:
        replay = Replay.create(Path(folder) / 'replay', profile)
        for name in ('offline', 'online'):
            replay.append(name, [_episode(i, name) for i in range(EPISODES)])
        config = TrainConfig(run_dir=Path(folder))
        policy = Policy(preset('tiny', profile))
        fit_statistics(policy, replay, config.rl.gamma)
        features = FeatureCache(replay, policy)
        features.fill()
        data = StageData(replay, policy, features, config, 1, 0.5, 0)
        learner = Learner(policy, config)
        loading = updating = 0.0
        for i in range(2 + repeats):
            began = time.perf_counter()
            batch, clone = data.batch(), data.clone_batch()
            loaded = time.perf_counter()
            learner.update(batch, clone, 0.9)
            if i >= 2:
                loading += loaded - began
                updating += time.perf_counter() - loaded
    return loading / (loading + updating)


def _noise(config: PolicyConfig, size: int) -> TensorBatch:
    return TensorBatch(
        features=torch.randn(size, config.feature_dim),
        text=torch.randn(size, 384),
        state=torch.randn(size, config.state_dim),
        chunk=torch.randn(size, config.chunk_dim),
        steps=torch.ones(size, config.horizon, dtype=torch.bool),
        next_features=torch.randn(size, config.feature_dim),
        next_state=torch.randn(size, config.state_dim),
        reward=torch.rand(size),
        discount=torch.full((size,), 0.9),
        correction=torch.zeros(size, dtype=torch.bool),
    )


def _episode(number: int, dataset: str) -> EpisodeFrames:
    profile, rng = load_profile(PROFILE), np.random.default_rng(number)
    walk = np.cumsum(rng.normal(scale=0.02, size=(TICKS, 40)), axis=0).astype(np.float32)
    kind = 'demonstration' if dataset == 'offline' else 'rollout'
    picture = simplejpeg.encode_jpeg(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    return EpisodeFrames(
        episode_id=f'{dataset}-{number}',
        robot_id='g1_01',
        task='restock',
        instruction='restock the red can',
        kind=kind,
        outcome='success' if number % 2 else 'failure',
        stamp_s=np.arange(TICKS) / 30,
        state=walk,
        action=walk[:, list(profile.action_columns_in_state())] + 0.01,
        source=np.full(TICKS, 2 if dataset == 'offline' else 1, np.uint8),
        policy_version=np.zeros(TICKS, np.int64),
        jpeg={
            c.name: [picture if t % 3 == 0 else None for t in range(TICKS)]
            for c in profile.cameras
        },
        seed=number,
        label=walk[:, :6],
        label_names=tuple('abcdef'),
    )
