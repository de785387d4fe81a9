"""CPU time of an action, its matrix products, and how fast this machine multiplies matrices in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

ROWS, WIDTH = 256, 512
RATE_FLOP = 4e9


@dataclass(frozen=True, slots=True)
class Cost:
    """Medians over repeats."""

    wall_ms: float
    cpu_ms: float
    gflop: float
    """Of the matrix products that were executed."""

    def made_of(self, gflop_per_cpu_s: float) -> str:
        """In words: how much of the CPU time the products alone would take."""
        products = 1e3 * self.gflop / gflop_per_cpu_s
        return (
            f'{self.wall_ms:.0f} ms, {self.cpu_ms:.0f} CPU-ms; {self.gflop:.1f} GFLOP of products are {products:.0f} '
            f'CPU-ms at {gflop_per_cpu_s:.0f} GFLOP per CPU second ({products / self.cpu_ms:.0%}); the rest is '
            'activations, norms, casts, Adam and averages'
        )


class _Products(TorchDispatchMode):
    """FLOP of what is executed; torch's `FlopCounterMode` follows modules too, and forbids adjoints by that."""

    def __init__(self) -> None:
        super().__init__()
        self.flop = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Execute one operator, and count it if it multiplies matrices."""
        out = func(*args, **kwargs or {})
        if func._overloadpacket in flop_registry:
            self.flop += flop_registry[func._overloadpacket](*args, **kwargs or {}, out_val=out)
        return out


def cost(action: Callable[[], object], repeats: int) -> Cost:
    """Run twice to warm up, once to count, then `repeats` times."""
    action()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # what runs in another thread is not counted
    with _Products() as products:
        action()
    torch.set_num_threads(threads)
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        action()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Cost(
        1e3 * statistics.median(walls),
        1e3 * statistics.median(cpus),
        products.flop / 1e9,
    )


def matmul_rate(dtype: torch.dtype, repeats: int = 5) -> float:
    """GFLOP per CPU second of products of the learner's shape, the median over repeats."""
    x = torch.randn(ROWS, WIDTH).to(dtype)
    w = torch.randn(WIDTH, WIDTH).to(dtype)
    out = torch.empty(ROWS, WIDTH, dtype=dtype)
    each = 2.0 * ROWS * WIDTH * WIDTH
    count = int(RATE_FLOP / each)
    rates = []
    for _ in range(repeats + 1):
        cpu = time.process_time()
        for _ in range(count):
            torch.mm(x, w, out=out)
        rates.append(count * each / (time.process_time() - cpu) / 1e9)
    return statistics.median(rates[1:])
