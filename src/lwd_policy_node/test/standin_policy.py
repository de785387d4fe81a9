"""A policy without torch, for tests of what surrounds the policy; run as a program: a policy_node.

Its one tensor ``bias`` (A,) is the target of every step of every chunk.
"""

from __future__ import annotations

import ctypes
import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lwd_policy_node.weights.tensors import read_header
from safetensors.numpy import load_file, save_file

HORIZON = 16
ACTIONS = 16
BUSY = np.float32(0.25)  # a bias whose policy leaves no thread of Python alone while it plans
BUSY_US = 150_000
CONFIG_HASH = hashlib.sha256(b'standin').hexdigest()


class StandinPolicy:
    """Repeats its bias."""

    def __init__(self, bias: npt.NDArray[np.float32], config_hash: str) -> None:
        self.bias = bias
        self.config_hash = config_hash

    @classmethod
    def load(cls, path: Path) -> StandinPolicy:
        return cls(load_file(path)['bias'], read_header(path).metadata['lwd.config_hash'])

    def act(self, obs: Any, seed: int, frozen: Any = None) -> npt.NDArray[np.float64]:
        if self.bias[0] > 40.0:  # weights that pass every check and then fail in use
            if obs.stamp_s > 0 and obs.instruction:
                raise RuntimeError('the bias is absurd')
            return np.zeros((HORIZON, ACTIONS))
        if (
            self.bias[0] == BUSY
        ):  # holds the interpreter's lock, so that no other thread of Python runs
            ctypes.PyDLL(None).usleep(BUSY_US)
        return np.tile(self.bias.astype(np.float64), (HORIZON, 1))


def save_standin(
    path: Path, value: float, *, extra_values: int = 0, config_hash: str = CONFIG_HASH
) -> Path:
    """Write stand-in weights whose chunks hold `value`; `extra_values` float32 make it larger."""
    tensors = {'bias': np.full(ACTIONS, value, np.float32)}
    if extra_values:
        tensors['ballast'] = np.random.default_rng(0).random(extra_values, np.float32)
    save_file(tensors, path, metadata={'lwd.config_hash': config_hash})
    return path


if __name__ == '__main__':
    from lwd_policy_node.nodes.policy_node import main

    sys.exit(main(loader=lambda: StandinPolicy.load))
