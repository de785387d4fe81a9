"""How fast published weights reach robots: one and sixteen, over the service, by URI, as a difference; and the swap.

Every robot is a process of its own with the real client: pull, hash, statistics, smoke inference; its policy is a
stand-in without a tensor library. Knobs: ``BENCH_ROBOTS`` (16), ``BENCH_MB`` (50), ``BENCH_LARGE_MB`` (2000) and
``BENCH_REPEATS`` (5). The soak's figures are those of the last `make soak`.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from lwd_learner.publish import Publisher
from lwd_policy_node.weights import ensure_key_pair
from rich.console import Console

from tools.bench.figure import Figure
from tools.bench.weights_area.fleet import TakingFleet, disk_rate, save_weights
from tools.bench.weights_area.soaked import figures_of_soak
from tools.bench.weights_area.swap import missed_periods

DOMAIN = '192'
PLACE = 'http://127.0.0.1:18491'
_console = Console(stderr=True)


def measure() -> list[Figure]:
    """All figures of the weights' way.

    Raises:
        TimeoutError: robots did not load what was published.
    """
    robots, repeats = _knob('BENCH_ROBOTS', 16), _knob('BENCH_REPEATS', 5)
    megabytes, large = _knob('BENCH_MB', 50), _knob('BENCH_LARGE_MB', 2000)
    os.environ['ROS_DOMAIN_ID'] = DOMAIN
    figures = one_robot(megabytes, repeats) + sixteen(robots, megabytes, repeats)
    figures += large_file(large)
    figures.append(
        Figure('missed control periods in 5 swaps', missed_periods(5), 'periods', 0.0, 'lower')
    )
    return figures + figures_of_soak()


def one_robot(megabytes: int, repeats: int) -> list[Figure]:
    """One robot over the service."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with TakingFleet(home, 1) as fleet:
            delays = _delays(home, fleet, megabytes, repeats, (), False)
    name = f'published to loaded, {megabytes} MB, one robot over the service'
    return [Figure(name, float(np.median(delays)), 's', 1.0, 'lower')]


def sixteen(robots: int, megabytes: int, repeats: int) -> list[Figure]:
    """All robots at once: over the service, by HTTP, as a difference over the service."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with TakingFleet(home, robots) as fleet:
            for way, places, expert_only in (
                ('over the service', (), False),
                ('by URI (http)', (PLACE,), False),
                ('as a difference, over the service', (), True),
            ):
                began_s, cpu_s = time.monotonic(), fleet.cpu_s()
                delays = _delays(home, fleet, megabytes, repeats, places, expert_only)
                _console.print(
                    f'{way}: robots used {fleet.cpu_s() - cpu_s:.1f} s of CPU in '
                    f'{time.monotonic() - began_s:.1f} s; largest learner so far '
                    f'{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB'
                )
                figures += _percentiles(
                    f'{robots} robots {way}', megabytes, delays, not places and not expert_only
                )
    return figures


def large_file(megabytes: int) -> list[Figure]:
    """One robot by HTTP: bytes over (published to loaded), against the rate at which the disk takes such a file."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with TakingFleet(home, 1) as fleet:
            probes, delays = [disk_rate(home, megabytes * 1_000_000)], []
            for _ in range(3):
                delays += _delays(home, fleet, megabytes, 1, (PLACE,), False)
                probes.append(disk_rate(home, megabytes * 1_000_000))
    disk = float(np.median(probes))
    share = megabytes * 1e6 / float(np.median(delays)) / disk
    name = f'{megabytes} MB by URI (http): rate, published to loaded, over the rate of the disk ({disk / 1e6:.0f} MB/s)'
    return [Figure(name, share, '', 0.5, 'higher')]


def _delays(
    home: Path,
    fleet: TakingFleet,
    megabytes: int,
    repeats: int,
    places: tuple[str, ...],
    expert_only: bool,
) -> list[float]:
    """Published -> loaded of every robot and repeat, s; a small version goes first and does not count."""
    key = ensure_key_pair(home / 'keys').private_path
    path = home / 'policy.safetensors'
    found: list[float] = []
    with Publisher(home / 'train', key, keep=2, uris=places) as learner:
        first = save_weights(path, megabytes if expert_only else 1, 1000, expert_only=expert_only)
        fleet.delays_s(learner, first)
        for seed in range(repeats):
            found += fleet.delays_s(
                learner, save_weights(path, megabytes, 10 * seed, expert_only=expert_only)
            )
    return found


def _percentiles(
    what: str, megabytes: int, delays: list[float], whole_by_service: bool
) -> list[Figure]:
    name = f'published to loaded, {megabytes} MB, {what}'
    median, worst = (float(np.percentile(delays, share)) for share in (50, 99))
    _console.print(f'{name}: P50 {median:.2f} s, P99 {worst:.2f} s')
    if whole_by_service:
        return [Figure(f'{name}, P50', median, 's', 8.0, 'lower')]
    return [
        Figure(f'{name}, P50', median, 's', 3.0, 'lower'),
        Figure(f'{name}, P99', worst, 's', 8.0, 'lower'),
    ]


def _knob(name: str, default: int) -> int:
    value = int(os.environ.get(name, default))
    if value < 1:
        raise ValueError(f'{name} is {value}: at least 1')
    return value
