"""How a flow time enters a network."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TIME_WIDTH = 64


def time_embedding(t: Tensor) -> Tensor:
    """Sines and cosines of t in [0, 1]: (..., 1) -> (..., TIME_WIDTH)."""
    frequencies = torch.exp(torch.linspace(0.0, math.log(200.0), TIME_WIDTH // 2, device=t.device))
    angles = t * frequencies.to(t.dtype) * math.pi
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
