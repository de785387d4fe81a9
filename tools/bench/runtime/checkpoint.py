"""A policy of the laptop's size with random weights: it takes as long as a trained one."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from lwd_policy_node.policy import Policy, preset
from lwd_policy_node.profile import load_profile
from lwd_policy_node.weights import Manifest, WeightsStore, ensure_key_pair
from lwd_policy_node.weights.checks import file_sha256
from lwd_policy_node.weights.keys import load_private_key

PROFILE = 'g1_laptop'
INSTRUCTION = 'put the red can on the shelf'


def keep_checkpoint(home: Path, robot_id: str) -> Path:
    """Write it where policy_node of `robot_id` finds its last good weights; the file's path."""
    torch.manual_seed(0)
    policy = Policy(preset('tiny', load_profile(PROFILE)))
    policy.sentences.remember([INSTRUCTION], torch.randn(1, 384))
    path = home / 'policy.safetensors'
    policy.save(path)
    manifest = Manifest(
        published_ns=time.time_ns(),
        version=1,
        parent=0,
        stage='sft',
        step=0,
        config_hash=policy.config_hash,
        replay_version='',
        size_bytes=path.stat().st_size,
        sha256=file_sha256(path),
    ).signed(load_private_key(ensure_key_pair(home / 'keys').private_path))
    store = WeightsStore(home / 'robots' / robot_id / 'weights')
    kept = store.admit(manifest, path)
    store.set_active(1)
    return kept
