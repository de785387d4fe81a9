"""A policy and a training run of the smallest size, for tests of training."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from lwd_learner.replay import Replay
from lwd_learner.training.config import (
    OfflineConfig,
    OnlineConfig,
    RlConfig,
    SftConfig,
    TrainConfig,
)
from lwd_learner.training.features import FeatureCache
from lwd_learner.training.sft_stage import fit_statistics
from lwd_policy_node.policy import Policy, preset
from replay_of_noise import PROFILE, make_replay

SMALL = dataclasses.replace(
    preset('tiny', PROFILE, label_dim=6), hidden=32, edit_hidden=16, vision_width=88
)
SMALL_RL = RlConfig(
    batch_size=16, critic_hidden=16, clone_batch_size=8, actor_batch_size=4, actor_every=1
)


def small_config(folder: Path, **changes: object) -> TrainConfig:
    """A run in `folder`: three steps of each part of a stage."""
    config = TrainConfig(
        run_dir=folder / 'train',
        store=str(folder / 'store'),
        online_minutes=0.03,
        eval_episodes=0,
        sft=SftConfig(steps=3, batch_size=8, head_steps=2),
        rl=SMALL_RL,
        offline=OfflineConfig(steps=3),
        online=OnlineConfig(publish_steps=1, publish_seconds=0.2, wait_for_episodes=1, nice=0),
        threads=1,
    )
    return dataclasses.replace(config, **changes)


def small_world(folder: Path) -> tuple[Replay, Policy, FeatureCache]:
    """A replay of six offline and four online episodes, an untrained policy, and what it sees in them."""
    make_replay(folder / 'replay')
    replay = Replay.open(folder / 'replay')
    torch.manual_seed(0)
    policy = Policy(SMALL)
    fit_statistics(policy, replay, 0.99)
    return replay, policy, FeatureCache(replay, policy)
