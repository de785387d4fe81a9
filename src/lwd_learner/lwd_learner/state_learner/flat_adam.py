"""Adam over a network whose weights are one flat tensor: clipping is a factor of the same pass."""

from __future__ import annotations

import torch
from torch import Tensor

from lwd_learner.state_learner.mlp import Mlp


class FlatAdam:
    """Adam, and the average of its weights if one is kept."""

    def __init__(
        self, net: Mlp, lr: float, average: Mlp | None = None, rate: float = 0.005
    ) -> None:
        """`average` follows the weights by `rate` a step."""
        self._net, self._average, self._rate = net, average, rate
        self.lr = lr
        self.mean = torch.zeros_like(net.flat)
        self.square = torch.zeros_like(net.flat)
        self.count = torch.zeros(())

    def state(self) -> dict[str, Tensor]:
        """Moments and count; the optimiser's own tensors, not copies."""
        return {'mean': self.mean, 'square': self.square, 'count': self.count}

    def norm(self) -> float:
        """Norm of the gradient."""
        return float(torch.linalg.vector_norm(self._net.gradient))

    def step(self, norm: float, clip: float) -> None:
        """Take a step along the gradient, scaled down to the norm `clip` if it is longer."""
        self.count += 1
        torch._fused_adam_(
            [self._net.flat],
            [self._net.gradient],
            [self.mean],
            [self.square],
            [],
            [self.count],
            lr=self.lr,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
            grad_scale=torch.tensor(max(1.0, norm / clip)),
        )
        self._net.changed()
        if self._average is not None:
            self._average.flat.lerp_(self._net.flat, self._rate)
            self._average.changed()
