"""Weights without a tensor library: a policy that stands still, and files of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lwd_policy_node.weights.tensors import read_header
from safetensors.numpy import save_file

CONFIG_HASH = '50a4' * 16
SHAPE = (16, 16)
EXPERT_SHARE = 0.3


class LightPolicy:
    """Knows its configuration and stands still."""

    def __init__(self, path: Path) -> None:
        self.config_hash = read_header(path).metadata['lwd.config_hash']

    def act(self, obs: Any, seed: int, frozen: Any = None) -> npt.NDArray[np.float64]:
        """A chunk of zeros."""
        return np.zeros(SHAPE)


def save_light(path: Path, megabytes: float, seed: int, *, nan: bool = False) -> Path:
    """Write weights of which only the expert differs from seed to seed, as online RL's do."""
    values = int(megabytes * 1e6 / 4)
    expert = np.random.default_rng(seed).random(int(values * EXPERT_SHARE), np.float32)
    if nan:
        expert[0] = np.nan
    backbone = np.random.default_rng(0).random(values - len(expert), np.float32)
    save_file({'backbone': backbone, 'expert': expert}, path, {'lwd.config_hash': CONFIG_HASH})
    return path
