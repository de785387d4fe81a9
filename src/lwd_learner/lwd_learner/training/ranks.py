"""Data-parallel updates: several processes share each RL update, one GPU each.

The first process, the leader, is the run: it alone has the replay, the status, the checkpoints and the robots' weights.
It draws a global batch, hands every process its part, and all take the same step with the mean of their gradients; so
their weights stay the same without ever being sent. The others (`members`) know nothing but their part.

A batch is frozen features and low-dimensional states: what the leader sends for an update is small beside what the
update costs. Only tensors go between processes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lwd_learner.training.batches import TensorBatch

BEGIN, UPDATE, END = 1.0, 2.0, 3.0
HEADER = 32
"""Numbers of an order: what to do, and for an update the level tau, the progress, the batches' rows and the widths."""
BOOLEAN = ('steps', 'correction')
"""Fields of a TensorBatch that are not numbers."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a member is to do next."""

    begin: Path | None = None
    """Start from this checkpoint."""
    batch: TensorBatch | None = None
    """Else, if there is one: update with this part of a batch."""
    clone: TensorBatch | None = None
    """Its part of what is cloned."""
    tau_base: float = 0.0
    """DIVL's level."""
    progress: float = 0.0
    """Of the stage."""


class Alone:
    """One process: nothing to agree on."""

    rank, count = 0, 1

    def divide(
        self, batch: TensorBatch, clone: TensorBatch | None, tau_base: float, progress: float
    ) -> tuple[TensorBatch, TensorBatch | None]:
        """Hand out the parts of an update; answer one's own."""
        return batch, clone

    def end_update(self) -> None:
        """Nothing more is exchanged for the update that `divide` began."""

    def agree(self, fine: Tensor) -> bool:
        """Whether a boolean scalar is True on all ranks."""
        return bool(fine)

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Let every gradient be the mean over ranks."""

    def mean(self, info: dict[str, float]) -> dict[str, float]:
        """Means over ranks of what was measured of an update."""
        return info

    def joined(self, values: Tensor) -> Tensor:
        """Values of the whole batch, (B,), from those of every rank's part."""
        return values


class Ranks(Alone):
    """One of several processes; the default process group connects them."""

    def __init__(self, rank: int, count: int) -> None:
        """The group is initialised; `rank` 0 leads."""
        self.rank, self.count = rank, count
        self.updating = False
        """Whether the others are in an update, where they wait for this one's tensors and hear no order."""

    # -- the leader ---------------------------------------------------------------------------------------------------

    def begin(self, checkpoint: Path) -> None:
        """Let the members start from a checkpoint folder that they can read."""
        self._order(BEGIN)
        name = torch.tensor(list(str(checkpoint).encode()), dtype=torch.uint8)
        dist.broadcast(torch.tensor([len(name)]), 0)
        dist.broadcast(name, 0)

    def end(self) -> None:
        """Let the members leave."""
        self._order(END)

    def divide(
        self, batch: TensorBatch, clone: TensorBatch | None, tau_base: float, progress: float
    ) -> tuple[TensorBatch, TensorBatch | None]:
        """Send every member its rows (rank, rank + count, ...) of a global batch; answer the leader's.

        Raises:
            ValueError: the rows cannot be divided evenly.
        """
        if self.rank:
            return batch, clone  # a member's is a part already
        for each in (batch, clone):
            if each is not None and len(each.reward) % self.count:
                raise ValueError(
                    f'a batch of {len(each.reward)} transitions cannot be divided among {self.count} workers; '
                    'choose --rl.batch-size and --rl.clone-batch-size as multiples of --num-workers'
                )
        rows = [0 if each is None else len(each.reward) // self.count for each in (batch, clone)]
        self.updating = True
        self._order(UPDATE, tau_base, progress, *rows, *_widths(batch))
        mine = self._send(batch)
        return mine, None if clone is None else self._send(clone)

    def end_update(self) -> None:
        """Nothing more is exchanged for the update that `divide` began."""
        self.updating = False

    def _order(self, *numbers: float) -> None:
        header = torch.zeros(HEADER, dtype=torch.float64)
        header[: len(numbers)] = torch.tensor(numbers, dtype=torch.float64)
        dist.broadcast(header, 0)

    def _send(self, batch: TensorBatch) -> TensorBatch:
        table = _packed(batch)
        parts = [table[rank :: self.count].contiguous() for rank in range(self.count)]
        dist.scatter(torch.empty_like(parts[0]), parts, 0)
        return _unpacked(parts[0], _widths(batch))

    # -- the members --------------------------------------------------------------------------------------------------

    def next_order(self) -> Order | None:
        """Wait for the leader; None: leave."""
        header = torch.zeros(HEADER, dtype=torch.float64)
        dist.broadcast(header, 0)
        what, tau_base, progress, *numbers = header.tolist()
        if what == END:
            return None
        if what == BEGIN:
            length = torch.tensor([0])
            dist.broadcast(length, 0)
            name = torch.zeros(int(length), dtype=torch.uint8)
            dist.broadcast(name, 0)
            return Order(begin=Path(bytes(name.tolist()).decode()))
        rows, cloned, *widths = map(int, numbers)
        widths = widths[: len(fields(TensorBatch))]
        batch = self._receive(rows, widths)
        clone = self._receive(cloned, widths) if cloned else None
        return Order(batch=batch, clone=clone, tau_base=tau_base, progress=progress)

    def _receive(self, rows: int, widths: list[int]) -> TensorBatch:
        part = torch.empty(rows, sum(max(width, 1) for width in widths))
        dist.scatter(part, None, 0)
        return _unpacked(part, widths)

    # -- all ----------------------------------------------------------------------------------------------------------

    def agree(self, fine: Tensor) -> bool:
        """Whether a boolean scalar is True on all ranks."""
        flag = fine.detach().float().reshape(1)
        dist.all_reduce(flag, dist.ReduceOp.MIN)
        return bool(flag)

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Let every gradient be the mean over ranks; what is not finite on one is so on all."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        torch._foreach_copy_(
            gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)]
        )

    def mean(self, info: dict[str, float]) -> dict[str, float]:
        """Means over ranks of what was measured of an update; the names are the same on all."""
        values = torch.tensor([info[name] for name in sorted(info)], dtype=torch.float64)
        dist.all_reduce(values)
        return dict(zip(sorted(info), (values / self.count).tolist(), strict=True))

    def joined(self, values: Tensor) -> Tensor:
        """Values of the whole batch, (B,), in its order, from those of every rank's part."""
        parts = [torch.empty_like(values) for _ in range(self.count)]
        dist.all_gather(parts, values.contiguous())
        return torch.stack(parts, 1).reshape(-1)


def _widths(batch: TensorBatch) -> list[int]:
    """Columns of each field; 0: it has one number a row, not a row of one."""
    tensors = [getattr(batch, field.name) for field in fields(batch)]
    return [tensor.shape[1] if tensor.dim() == 2 else 0 for tensor in tensors]


def _packed(batch: TensorBatch) -> Tensor:
    """All of a batch side by side, (B, columns) float32."""
    rows = len(batch.reward)
    return torch.cat([getattr(batch, f.name).float().reshape(rows, -1) for f in fields(batch)], 1)


def _unpacked(table: Tensor, widths: list[int]) -> TensorBatch:
    """Inverse of `_packed`."""
    columns = torch.split(table, [max(width, 1) for width in widths], 1)
    out = {}
    for field, width, column in zip(fields(TensorBatch), widths, columns, strict=True):
        value = column if width else column[:, 0]
        out[field.name] = value > 0.5 if field.name in BOOLEAN else value
    return TensorBatch(**out)
