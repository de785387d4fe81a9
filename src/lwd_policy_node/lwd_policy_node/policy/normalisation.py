"""Statistics that turn states and chunks into unit scale and back; they live in the checkpoint as
`norm.*`.

A chunk is expressed relative to the joint positions at its first step (grippers stay absolute),
then scaled per step and joint: later steps of a chunk move further.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lwd_policy_node.policy.config import PolicyConfig

STATE_FLOOR = 0.02
"""Smallest scale of a state column, rad: a joint that never moved must not amplify its sensor
noise.
"""
ACTION_FLOOR = 0.02
"""Smallest scale of a chunk entry, rad."""


class Normalisation(nn.Module):
    """Means and scales as buffers, so that they are saved and moved with the model."""

    state_mean: Tensor
    state_scale: Tensor
    action_mean: Tensor
    action_scale: Tensor
    reference: Tensor
    is_relative: Tensor

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        columns = torch.tensor(config.relative_to_state)
        self.register_buffer('state_mean', torch.zeros(config.state_dim))
        self.register_buffer('state_scale', torch.ones(config.state_dim))
        self.register_buffer('action_mean', torch.zeros(config.horizon, config.action_dim))
        self.register_buffer('action_scale', torch.ones(config.horizon, config.action_dim))
        self.register_buffer('reference', columns.clamp(min=0), persistent=False)
        self.register_buffer('is_relative', (columns >= 0).float(), persistent=False)

    def fit(
        self, state: npt.NDArray[Any], action: npt.NDArray[Any], mask: npt.NDArray[Any]
    ) -> None:
        """Take the statistics of N samples: state (N, S), action (N, H, A) absolute, mask (N,
        H).
        """
        s = torch.as_tensor(state, dtype=torch.float32)
        self.state_mean.copy_(s.mean(0))
        self.state_scale.copy_(s.std(0).clamp(min=STATE_FLOOR))
        relative = torch.as_tensor(action, dtype=torch.float32) - self._origin(s)
        weight = torch.as_tensor(mask, dtype=torch.float32)[..., None]
        count = weight.sum(0).clamp(min=1)
        mean = (relative * weight).sum(0) / count
        variance = ((relative - mean).square() * weight).sum(0) / count
        self.action_mean.copy_(mean)
        self.action_scale.copy_(variance.sqrt().clamp(min=ACTION_FLOOR))

    def _origin(self, state: Tensor) -> Tensor:
        """Joint positions that chunks are relative to, (B, 1, A); 0 for absolute joints."""
        return (state[:, self.reference] * self.is_relative)[:, None, :]

    def state(self, state: Tensor) -> Tensor:
        """(B, S) rad -> (B, S) unit scale, clipped so that an odd reading cannot dominate."""
        return ((state - self.state_mean) / self.state_scale).clamp(-5, 5)

    def chunk(self, action: Tensor, state: Tensor) -> Tensor:
        """Absolute (B, H, A) -> normalised and flattened (B, D)."""
        return ((action - self._origin(state) - self.action_mean) / self.action_scale).flatten(1)

    def absolute(self, chunk: Tensor, state: Tensor) -> Tensor:
        """Normalised (B, D) -> absolute targets (B, H, A)."""
        scaled = chunk.view(-1, *self.action_mean.shape) * self.action_scale + self.action_mean
        return scaled + self._origin(state)


def image_tensor(images: npt.NDArray[np.uint8] | Tensor) -> Tensor:
    """RGB uint8 (B, C, h, w, 3) -> float (B, C, 3, h, w) about [-1, 1]."""
    pixels = torch.as_tensor(images).permute(0, 1, 4, 2, 3)
    return pixels.to(torch.float32).mul_(2.0 / 255.0).sub_(1.0)
