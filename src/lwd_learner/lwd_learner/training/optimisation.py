"""Steps that leave no trace when anything is not finite; cosine rates; averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from lwd_learner.training.ranks import Alone


class NotFinite(ArithmeticError):
    """A loss or a gradient is not finite; the message names the network."""


class Step:
    """Backward, clip, step for one network; counts what it skipped."""

    def __init__(
        self,
        optimiser: torch.optim.Optimizer,
        parameters: Sequence[nn.Parameter],
        clip: float,
        ranks: Alone | None = None,
    ) -> None:
        """`clip` is the largest gradient norm of these parameters together; `ranks` take the step together."""
        self._optimiser = optimiser
        self._parameters = list(parameters)
        self._clip = clip
        self._ranks = ranks or Alone()
        self.skipped = 0

    def __call__(self, loss: Tensor) -> bool:
        """Take the step; False (and nothing changed) when the loss or a gradient is not finite."""
        if not self._ranks.agree(torch.isfinite(loss)):
            self.skipped += 1
            return False
        self._optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._ranks.average(self._parameters)
        norm = nn.utils.clip_grad_norm_(self._parameters, self._clip)
        if not torch.isfinite(norm):
            self.skipped += 1
            return False
        self._optimiser.step()
        return True


class Snapshot:
    """Weights and optimiser states as they were before an update, to undo it whole."""

    def __init__(
        self, modules: Sequence[nn.Module], optimisers: Sequence[torch.optim.Optimizer]
    ) -> None:
        """Of all that an update may write to."""
        self._modules, self._optimisers = modules, optimisers
        self._kept: list[Tensor] = []
        self._known: list[set[Tensor]] = []

    @torch.no_grad()
    def take(self) -> None:
        """Remember the present values."""
        live = self._live()
        self._known = [set(optimiser.state) for optimiser in self._optimisers]
        if len(live) != len(self._kept):
            self._kept = [tensor.clone() for tensor in live]
        else:
            torch._foreach_copy_(self._kept, live)

    @torch.no_grad()
    def restore(self) -> None:
        """Put the remembered values back."""
        for optimiser, known in zip(self._optimisers, self._known, strict=True):
            for parameter in set(optimiser.state) - known:
                del optimiser.state[parameter]
        torch._foreach_copy_(self._live(), self._kept)

    def _live(self) -> list[Tensor]:
        tensors = [p.detach() for module in self._modules for p in module.parameters()]
        for optimiser in self._optimisers:
            for state in optimiser.state.values():
                tensors += [value for value in state.values() if isinstance(value, Tensor)]
        return tensors


def cosine(progress: float) -> float:
    """Factor of a rate: from 1 down to .02 over a run."""
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimiser.param_groups:
        group['lr'] = rate


def set_cosine(
    optimiser: torch.optim.Optimizer, peak: float, progress: float, warmup: float
) -> None:
    """Linear warm-up over the share `warmup` of the run, then cosine to 2 % of the peak."""
    rise = min(1.0, progress / warmup) if warmup > 0 else 1.0
    set_rate(optimiser, peak * rise * cosine(progress))


class Averaged:
    """Exponential moving average of modules' weights, to be copied back at the end of a stage."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        """Start from the present weights."""
        self._live = [p for module in modules for p in module.parameters()]
        self._mean = [p.detach().clone() for p in self._live]
        self._count = 0

    def state(self) -> tuple[int, list[Tensor]]:
        """Updates so far and the averages."""
        return self._count, self._mean

    def load(self, count: int, mean: Sequence[Tensor]) -> None:
        """Inverse of `state`."""
        self._count = count
        torch._foreach_copy_(self._mean, list(mean))

    def update(self, rate: float) -> None:
        """Move towards the present weights; faster at first, so that the start is forgotten."""
        self._count += 1
        torch._foreach_lerp_(
            self._mean, [p.detach() for p in self._live], max(rate, 1 / self._count)
        )

    @torch.no_grad()
    def copy_to(self) -> None:
        """Put the average into the modules."""
        if self._count:
            for live, mean in zip(self._live, self._mean, strict=True):
                live.copy_(mean)
