"""Ensembles of MLPs with a hand-written backward pass.

Every member's weights stand in one flat tensor, so that clipping, Adam and averaging are single passes over memory.
Autograd is not used: a caller keeps the tape of a forward pass for as long as it is good for something, asks for the
gradient of the weights, of the inputs, or of both, and pays for no graph.

A member is ``inputs -> hidden (GELU [, LayerNorm]) x L -> outputs``, as in the public QAM code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

Precision = Literal['float32', 'bfloat16']
"""Of the operands of the hidden layers' products; sums, the first and the last layer, weights and averages are
float32."""

EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class MlpShape:
    """Sizes of an ensemble."""

    inputs: int
    """Width of the input."""
    outputs: int
    """Width of the output."""
    hidden: int = 512
    """Width of the hidden layers."""
    layers: int = 4
    """Hidden layers."""
    members: int = 1
    """K, networks of the ensemble; all see the same input."""
    layer_norm: bool = False
    """LayerNorm behind every activation."""

    @property
    def parameters(self) -> list[tuple[int, ...]]:
        """Shapes of all tensors: per layer weight (K, in, out), bias (K, 1, out), and scale and shift of the norm."""
        widths = [self.inputs, *[self.hidden] * self.layers, self.outputs]
        shapes: list[tuple[int, ...]] = []
        for i, (a, b) in enumerate(pairwise(widths)):
            shapes += [(self.members, a, b), (self.members, 1, b)]
            if self.layer_norm and i < self.layers:
                shapes += [(self.members, 1, b), (self.members, 1, b)]
        return shapes


@dataclass(slots=True)
class Layer:
    """Views of one layer's tensors, or of their gradients."""

    weight: Tensor
    bias: Tensor
    scale: Tensor | None = None
    shift: Tensor | None = None


@dataclass(slots=True)
class Tape:
    """What one hidden layer leaves for the backward pass."""

    x: Tensor
    """Input, (K or 1, B, in)."""
    z: Tensor
    """Before the activation, (K, B, out)."""
    norm: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
    """LayerNorm's input, output before scale and shift, mean and 1 / sd."""


def blank_tape(shape: MlpShape, rows: int, precision: Precision) -> list[Tape]:
    """Room for the tape of one network without norms; `forward` writes into it, or into a part of its rows."""
    low = getattr(torch, precision)

    def room(width: int, dtype: torch.dtype) -> Tensor:
        return torch.empty(1, rows, width, dtype=dtype)

    first = Tape(room(shape.inputs, torch.float32), room(shape.hidden, low))
    inner = [
        Tape(room(shape.hidden, low), room(shape.hidden, low)) for _ in range(shape.layers - 1)
    ]
    last = room(shape.hidden, torch.float32)
    return [first, *inner, Tape(last, last)]


def rows_of(tape: Sequence[Tape], rows: slice) -> list[Tape]:
    """The tape of a part of the batch, of a network without norms; views."""
    return [Tape(t.x[..., rows, :], t.z[..., rows, :]) for t in tape]


def split(flat: Tensor, shape: MlpShape) -> list[Layer]:
    """Views of a flat tensor as layers."""
    sizes = [torch.Size(s).numel() for s in shape.parameters]
    parts = [p.view(s) for p, s in zip(torch.split(flat, sizes), shape.parameters, strict=True)]
    step = 4 if shape.layer_norm else 2
    hidden = [Layer(*parts[i * step : (i + 1) * step]) for i in range(shape.layers)]
    return [*hidden, Layer(*parts[-2:])]


class Mlp:
    """Weights of an ensemble, flat, and the copy of them that products take."""

    def __init__(
        self, shape: MlpShape, precision: Precision, generator: torch.Generator | None = None
    ) -> None:
        """Xavier-uniform weights, zero biases."""
        self.shape = shape
        count = sum(torch.Size(s).numel() for s in shape.parameters)
        self.flat = torch.zeros(count)
        self.gradient = torch.zeros(count)
        self.low = (
            torch.zeros(count, dtype=torch.bfloat16) if precision == 'bfloat16' else self.flat
        )
        self.gradients = split(self.gradient, shape)
        self._layers = split(self.flat, shape)
        self._low = split(self.low, shape)
        for layer in self._layers:
            fan_in, fan_out = layer.weight.shape[1:]
            bound = (6.0 / (fan_in + fan_out)) ** 0.5
            layer.weight.uniform_(-bound, bound, generator=generator)
            if layer.scale is not None:
                layer.scale.fill_(1.0)
        self.changed()

    def copy(self) -> Mlp:
        """An independent ensemble with the same weights."""
        precision: Precision = 'float32' if self.low is self.flat else 'bfloat16'
        twin = Mlp(self.shape, precision)
        twin.flat.copy_(self.flat)
        twin.changed()
        return twin

    def changed(self) -> None:
        """To be called when `flat` was written to."""
        if self.low is not self.flat:
            self.low.copy_(self.flat)

    def prefix(self, x: Tensor) -> Tensor:
        """What the first columns of the input, (B, n), contribute to the first layer: (K, B, hidden)."""
        first = self._layers[0]
        return torch.matmul(x, first.weight[:, : x.shape[1]]).add_(first.bias)

    def forward(
        self,
        x: Tensor,
        tape: list[Tape] | None = None,
        prefix: Tensor | None = None,
        known: int = 0,
    ) -> Tensor:
        """(B, inputs) -> (K, B, outputs), float32.

        Args:
            x: input.
            tape: where to leave what `backward` needs: an empty list, or rows of a `blank_tape`.
            prefix: of the first `known` columns, if they were seen before: only the others are multiplied.
            known: how many.
        """
        k, first, low = self.shape.members, self._layers[0], self.low.dtype
        room = tape or None
        if prefix is None:
            z = torch.matmul(x, first.weight).add_(first.bias)
        else:
            z = torch.matmul(x[:, known:], first.weight[:, known:]).add_(prefix)
        z = room[0].z.copy_(z) if room else z.to(low)
        h = room[0].x.copy_(x) if room else x
        for i in range(self.shape.layers):
            layer = self._low[i]
            if i:
                z = (
                    torch.addmm(layer.bias[0], h[0], layer.weight[0], out=room and room[i].z[0])[
                        None
                    ]
                    if k == 1
                    else torch.baddbmm(layer.bias, h, layer.weight)
                )
            a = _gelu(z, room[i + 1].x if room and i + 1 < self.shape.layers else None)
            norm = None
            if layer.scale is not None and layer.shift is not None:
                y, mean, rstd = torch.native_layer_norm(
                    a, (self.shape.hidden,), None, None, EPSILON
                )
                norm = (a, y, mean, rstd)
                a = torch.addcmul(layer.shift, y, layer.scale)
            if tape is not None and not room:
                tape.append(Tape(h, z, norm))
            h = a
        last = self._layers[-1]
        h = room[-1].x.copy_(h) if room else h.float()
        if tape is not None and not room:
            tape.append(Tape(h, h))
        return torch.baddbmm(last.bias, h, last.weight)

    def backward(
        self,
        tape: list[Tape],
        d: Tensor,
        weights: bool = True,
        inputs: bool = False,
    ) -> Tensor | None:
        """Gradients of sum(d * output), d (K, B, outputs) float32.

        Args:
            tape: of the forward pass.
            d: gradient of the output.
            weights: write the gradient of all weights to `gradient`, over what it held.
            inputs: answer the gradient of the input, (B, inputs), summed over members.
        """
        last = self._layers[-1]
        if weights:
            self._weigh(self.gradients[-1], tape[-1].x, d)
        one = self.shape.outputs == 1  # then a product of matrices is a slow outer product
        dh = (d * last.weight.mT if one else torch.bmm(d, last.weight.mT)).to(self.low.dtype)
        for i in reversed(range(self.shape.layers)):
            note, layer, grad = tape[i], self._low[i], self.gradients[i]
            if note.norm is not None and layer.scale is not None:
                wanted = grad if weights else None
                dh = self._norm_backward(note.norm, dh, layer.scale, wanted)
            dz = torch.ops.aten.gelu_backward(dh, note.z)
            if i == 0:
                dz = dz.float()
            if weights:
                self._weigh(grad, note.x, dz)
            if i:
                dh = torch.bmm(dz, layer.weight.mT)
            elif inputs:
                return torch.bmm(dz, self._layers[0].weight.mT).sum(0)
        return None

    def _norm_backward(
        self,
        norm: tuple[Tensor, Tensor, Tensor, Tensor],
        d: Tensor,
        scale: Tensor,
        grad: Layer | None,
    ) -> Tensor:
        a, y, mean, rstd = norm
        if grad is not None and grad.scale is not None and grad.shift is not None:
            grad.scale.copy_((d * y).sum(1, keepdim=True))
            grad.shift.copy_(d.sum(1, keepdim=True))
        out: Tensor = torch.ops.aten.native_layer_norm_backward(
            d * scale, a, (self.shape.hidden,), mean, rstd, None, None, (True, False, False)
        )[0]
        return out

    def _weigh(self, grad: Layer, x: Tensor, dz: Tensor) -> None:
        if x.dim() == 2:
            x = x[None].expand(self.shape.members, -1, -1)
        grad.weight.copy_(torch.bmm(x.mT, dz))
        grad.bias.copy_(dz.sum(1, keepdim=True))


def _gelu(z: Tensor, out: Tensor | None) -> Tensor:
    return torch.nn.functional.gelu(z) if out is None else torch.ops.aten.gelu.out(z, out=out)
