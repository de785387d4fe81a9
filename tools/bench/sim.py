"""How fast one core simulates a robot at each task, how often the operator succeeds, and what an hour of data costs.

``BENCH_SEEDS`` (200) scenes of each task and level for the success rates, ``BENCH_TASKS`` (all) tasks separated by
commas, ``BENCH_DATA_S`` (120) recorded seconds of each task from which the hour is scaled. Speeds are simulated
seconds per CPU second of one process.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

from lwd_sim.rendering.gl_backend import BACKENDS, backend_works
from lwd_sim.tasks import SHIFTS, TASKS
from rich.console import Console

from tools.bench.figure import Figure
from tools.bench.simulation import speed
from tools.bench.simulation.work import SEED0, cpu_per_simulated_second, solved

EIGHT = ('restock', 'correct', 'freezer', 'cooler', 'tea', 'juice', 'cocktail', 'shoebox')
CORES = 2
CONTROL_RATE_HZ = 30
CAMERAS = 3
SUCCESS_TARGET = {'trained': 0.95, 'shift': 0.85}
_console = Console(stderr=True)


def measure() -> list[Figure]:
    """All figures of the simulator.

    Raises:
        ValueError: a knob that is not a number, or an unknown task.
    """
    tasks = os.environ.get('BENCH_TASKS', ','.join(TASKS)).split(',')
    unknown = [task for task in tasks if task not in TASKS]
    if unknown:
        raise ValueError(f'BENCH_TASKS: no task {unknown[0]!r}; known: {", ".join(sorted(TASKS))}')
    seeds = int(os.environ.get('BENCH_SEEDS', '200'))
    data_s = float(os.environ.get('BENCH_DATA_S', '120'))
    return [*speeds(tasks), *successes(tasks, seeds), *data(tasks, data_s)]


def speeds(tasks: list[str]) -> list[Figure]:
    """Times real time, control steps and pictures per second of one core, by task and OpenGL backend."""
    figures = []
    blind = _in_process('none', tasks)
    _console.print(f'no images: {blind}')
    for task, found in blind.items():
        figures.append(_times(f'{task}, no images', found['blind'], 20.0))
        figures.append(_rate(f'{task}, no images', found['blind'], 20.0, 'steps'))
    for backend in BACKENDS:
        if not backend_works(backend):
            _console.print(f'{backend} does not work here: not measured')
            continue
        seen = _in_process(backend, tasks)
        _console.print(f'{backend}: {seen}')
        for task, found in seen.items():
            every = f'{task}, three {speed.CAMERA_PX}x{speed.CAMERA_PX} cameras, {backend}'
            figures.append(_times(f'{every}, at every tick', found['every tick'], 6.0))
            figures.append(_rate(f'{every}, at every tick', found['every tick'], 6.0, 'frames'))
            figures.append(_times(f'{every}, at replanning ticks', found['replanning'], 15.0))
    return figures


def successes(tasks: list[str], seeds: int) -> list[Figure]:
    """Share of scenes that a flawless operator solves."""
    figures = []
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(CORES, context) as pool:
        for task in tasks:
            for shift in SHIFTS:
                scenes = range(SEED0, SEED0 + seeds)
                won = sum(pool.map(solved, *zip(*((task, shift, s) for s in scenes), strict=True)))
                name = f'{task}, operator at {shift}: {won} of {seeds} scenes'
                _console.print(name)
                figures.append(Figure(name, won / seeds, 'share', SUCCESS_TARGET[shift], 'higher'))
    return figures


def data(tasks: list[str], recorded_s: float) -> list[Figure]:
    """Minutes that an hour of demonstrations takes, scaled from ``recorded_s`` of each on one core.

    Episodes are independent of each other, so two cores are counted as twice one.
    """
    minutes = {}
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(1, context) as pool:
        for task in tasks:
            cpu = pool.submit(cpu_per_simulated_second, task, recorded_s).result()
            minutes[task] = 60 * cpu / CORES
            _console.print(f'{task}, an hour of data: {minutes[task]:.1f} min on {CORES} cores')
    note = f'on {CORES} cores, scaled from {recorded_s:g} s on one'
    figures = [
        Figure(f'{task}, one hour of data {note}', value, 'min', 60 / len(EIGHT), 'lower')
        for task, value in minutes.items()
    ]
    there = [task for task in EIGHT if task in minutes]
    total = sum(minutes[task] for task in there)
    name = f'one hour of data of each of {len(there)} of the {len(EIGHT)} tasks {note}'
    return [*figures, Figure(name, total, 'min', 60.0, 'lower')]


def _in_process(backend: str, tasks: list[str]) -> dict[str, dict[str, float]]:
    """Speeds by task in a process with one OpenGL backend, or none."""
    environment = {**os.environ, 'MUJOCO_GL': 'disable' if backend == 'none' else backend}
    environment.pop('PYOPENGL_PLATFORM', None)  # MuJoCo has set it to this process's backend
    command = [sys.executable, '-m', speed.__name__, backend, *tasks]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _times(name: str, factor: float, target: float) -> Figure:
    return Figure(f'{name}: times real time', factor, 'x', target, 'higher')


def _rate(name: str, factor: float, target: float, unit: str) -> Figure:
    """Control steps, or pictures of all cameras, per second."""
    each = CONTROL_RATE_HZ * (CAMERAS if unit == 'frames' else 1)
    return Figure(f'{name}: {unit}/s', factor * each, f'{unit}/s', target * each, 'higher')
