"""Sixteen robots that take weights, and how long a publication takes to reach them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import numpy as np
from lwd_learner.publish import Publisher
from safetensors.numpy import save_file

MODULE = 'tools.bench.weights_area.robot'
PATIENCE_S = 300.0
EXPERT_SHARE = 0.3  # of the values: what online RL changes


def save_weights(path: Path, megabytes: float, seed: int, *, expert_only: bool = False) -> Path:
    """Write float32 weights of that size: a backbone, and an expert that differs with every seed."""
    values = int(megabytes * 1e6 / 4)
    expert = int(values * EXPERT_SHARE)
    backbone = np.random.default_rng(0 if expert_only else seed)
    tensors = {
        'backbone': backbone.random(values - expert, np.float32),
        'expert': np.random.default_rng(seed + 1).random(expert, np.float32),
    }
    save_file(tensors, path, metadata={'lwd.config_hash': f'bench of {values} values'})
    return path


class TakingFleet:
    """Robots as processes; use it in `with`."""

    def __init__(self, home: Path, robots: int) -> None:
        environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
        self.robots = robots
        self._processes = [
            subprocess.Popen(
                [sys.executable, '-m', MODULE, f'robot_{index:02d}', str(home)], env=environment
            )
            for index in range(robots)
        ]

    def __enter__(self) -> TakingFleet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def delays_s(self, learner: Publisher, path: Path) -> list[float]:
        """Publish; return published -> loaded of every robot, s.

        Raises:
            TimeoutError: not all loaded it.
        """
        version = learner.publish(path, stage='online', step=1)
        if not learner.fleet.wait_for(version, 'loaded', self.robots, PATIENCE_S):
            raise TimeoutError(f'version {version} did not reach {self.robots} robots')
        events = [e for e in learner.fleet.events() if (e.version, e.event) == (version, 'loaded')]
        learner.fleet.wait_for(version, 'active', self.robots, PATIENCE_S)
        return [event.delay_s for event in events]

    def cpu_s(self) -> float:
        """CPU time of all robots so far."""
        ticks = 0
        for process in self._processes:
            fields = Path(f'/proc/{process.pid}/stat').read_text().rpartition(')')[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf('SC_CLK_TCK')


def disk_rate(folder: Path, total: int) -> float:
    """Bytes/s at which the disk takes a file of that size, flushed; the file is removed."""
    path = folder / 'disk.probe'
    block = os.urandom(4 << 20)
    began = time.perf_counter()
    with path.open('wb') as file:
        for _ in range(total // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    seconds = time.perf_counter() - began
    path.unlink()
    return total / seconds
