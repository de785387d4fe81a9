"""How long an update takes, what it is made of, and whether data keeps up.

``BENCH_REPEATS`` (15) updates of each kind, ``BENCH_THREADS`` (all cores) torch threads. CPU time is of the whole
process. Multiplying matrices with idle threads spinning counts as CPU time: on a busy machine use one thread.
"""

from __future__ import annotations

import os

import torch
from rich.console import Console

from tools.bench.figure import Figure
from tools.bench.learning.flat import qam_update
from tools.bench.learning.rate import matmul_rate
from tools.bench.learning.vla import idle_share, update

CONFIGURATION = 'full QAM update, K=10 of 512x4, batch 256, T 10'
WALL_MS, CPU_MS = 140.0, 267.0
SMALL_BATCH, SMALL_TIMES = 64, 2.0
IDLE_PERCENT = 5.0
_console = Console(stderr=True, soft_wrap=True)


def measure() -> list[Figure]:
    """All figures of the learner."""
    torch.set_num_threads(
        int(os.environ.get('BENCH_THREADS', '0')) or len(os.sched_getaffinity(0))
    )
    torch.manual_seed(0)
    repeats = int(os.environ.get('BENCH_REPEATS', '15'))
    rates = {name: matmul_rate(getattr(torch, name)) for name in ('float32', 'bfloat16')}
    figures = []
    small = update('small', SMALL_BATCH, max(3, repeats // 3))
    _console.print(f'DIVL + QAM step of `small` at batch 64: {small.made_of(rates["float32"])}')
    times = small.cpu_ms / (1e3 * small.gflop / rates['float32'])
    name = f'DIVL + QAM step of `small` at batch {SMALL_BATCH}: times its FLOP at the matmul rate'
    figures.append(_lower(name, times, 'x', SMALL_TIMES))
    idle = 100 * idle_share(repeats)
    figures.append(
        _lower('learner idle for data, `tiny`, default batches', idle, '%', IDLE_PERCENT)
    )
    for precision in ('bfloat16', 'float32'):
        found = qam_update(precision, repeats)
        _console.print(f'{CONFIGURATION}, {precision}: {found.made_of(rates[precision])}')
        figures.append(
            _lower(f'{CONFIGURATION}, {precision} products', found.wall_ms, 'ms', WALL_MS)
        )
        figures.append(
            _lower(f'{CONFIGURATION}, {precision} products, CPU', found.cpu_ms, 'ms', CPU_MS)
        )
    return figures


def _lower(name: str, value: float, unit: str, target: float) -> Figure:
    return Figure(name, value, unit, target, 'lower')
