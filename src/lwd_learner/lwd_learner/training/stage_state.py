"""What a checkpoint keeps of a stage that is under way, besides the policy and the learner."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class StageState:
    """Progress inside one stage: enough to draw the next batch and take the next step as if nothing had happened."""

    part: str
    """Which part of the stage this is of."""
    values: dict[str, Any] = field(default_factory=dict)
    """Clock, samplers and numpy generators, ready for JSON."""
    tensors: dict[str, Tensor] = field(default_factory=dict)
    """Optimiser, averages and torch generators, by name."""


def optimiser_tensors(optimiser: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """An optimiser's state by ``<prefix><number of the parameter>.<entry>``."""
    return {
        f'{prefix}{number}.{entry}': tensor.contiguous()
        for number, entries in optimiser.state_dict()['state'].items()
        for entry, tensor in entries.items()
    }


def load_optimiser(
    optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor], prefix: str
) -> None:
    """Inverse of `optimiser_tensors`; rates stay as they are set."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in with_prefix(tensors, prefix).items():
        number, entry = name.split('.', 1)
        state.setdefault(int(number), {})[entry] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), 'state': state})


def with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose name begins so, without the beginning."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
