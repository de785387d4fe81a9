"""Replays of ten thousand and ten million frames: memory, time to open, cost of a batch."""

from __future__ import annotations

import time
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from tools.bench.figure import Figure

BATCH = 256
HORIZON = 30
DECODE_S = 256 * 6 * 0.00019
"""CPU time of a batch's images at 224x224: what a batch costs beside drawing it (the figures before measure it)."""


def measure_opening(folder: Path, frames: int) -> list[Figure]:
    """In a process of its own each."""
    small, large = (_measure(folder / str(count), count) for count in (10_000, frames))
    print(f'10^4 frames: {small}; {frames} frames: {large}')
    cost = (large['batch_s'] + DECODE_S) / (small['batch_s'] + DECODE_S)
    return [
        Figure('index of 10 million frames, memory', large['memory_mb'], 'MB', 2000.0, 'lower'),
        Figure('index of 10 million frames, opened', large['open_s'], 's', 5.0, 'lower'),
        Figure('cost of a batch with images, 10^7 / 10^4 frames', cost, '', 1.2, 'lower'),
        Figure(
            'draw and read 256 transitions of 10^7 frames',
            1e3 * large['batch_s'],
            'ms',
            30.0,
            'lower',
        ),
    ]


def _measure(folder: Path, frames: int) -> dict[str, float]:
    from tools.bench.replay_area.large import make_large

    make_large(folder, frames)
    context = get_context('spawn')
    queue = context.Queue()
    process = context.Process(target=_open, args=(folder, queue))
    process.start()
    answer: dict[str, float] = queue.get()
    process.join()
    return answer


def _open(folder: Path, answers: Any) -> None:
    from lwd_learner.replay import Replay, Sampler, SamplerConfig

    before = _resident_mb()
    began = time.perf_counter()
    replay = Replay.open(folder)
    sampler = Sampler(replay, SamplerConfig(batch_size=BATCH, horizon=HORIZON))
    open_s = time.perf_counter() - began
    times = []
    for _ in range(30):
        began = time.process_time()
        sampler.sample()
        times.append(time.process_time() - began)
    memory_mb = _resident_mb() - before
    answers.put({'open_s': open_s, 'batch_s': median(times), 'memory_mb': memory_mb})


def _resident_mb() -> float:
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith('VmHWM'):
            return int(line.split()[1]) / 1000
    return 0.0
