"""What recording costs, as figures: raw and JPEG cameras for minutes, and the change from a large bag to the next."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.bench.figure import Figure
from tools.bench.recording.run import Outcome, record

_RAW_BYTES_PER_S = 90 * 640 * 480 * 3
_LARGE_BAG_BYTES = 4e9
_NEXT_S = 5.0


def recording_figures() -> list[Figure]:
    """Measure; `BENCH_RECORD_S` (300) is the length of the long episodes, and bounds the large bag.

    Raises:
        ValueError: it is not positive, or there is too little room on the disk of runs/.
        TimeoutError: a process did not do its part.
    """
    seconds = float(os.environ.get('BENCH_RECORD_S', '300'))
    if not seconds > 0.0:
        raise ValueError(f'BENCH_RECORD_S must be positive, not {seconds:g}')
    large_s = min(_LARGE_BAG_BYTES / _RAW_BYTES_PER_S + 1.0, seconds)
    with _home(_RAW_BYTES_PER_S * seconds) as home:
        raw = record(home, raw=True, episodes=[seconds])
    with _home(1e9) as home:
        jpeg = record(home, raw=False, episodes=[seconds])
    with _home(_RAW_BYTES_PER_S * (large_s + _NEXT_S)) as home:
        change = record(home, raw=True, episodes=[large_s, _NEXT_S])
    bag = f'a bag of {change.size_bytes[0] / 1e9:.1f} GB'
    return [
        *_steady(raw, f'3 raw cameras, joints at 200 Hz, {seconds / 60:g} min', 0.6),
        *_steady(jpeg, f'3 JPEG cameras, joints at 200 Hz, {seconds / 60:g} min', 0.15),
        Figure(f'start to first frame of the episode after {bag}', change.first_frame_s[1], 's', 1.0, 'lower'),
        Figure('frames lost in and between it and the next', change.between, 'images', 0, 'lower'),
    ]  # fmt: skip


def _steady(run: Outcome, what: str, cores: float) -> list[Figure]:
    third = max(1, len(run.memory_mb) // 3)
    first, last = run.memory_mb[:third], run.memory_mb[-third:]
    growth_mb = statistics.median(last) - statistics.median(first)
    return [
        Figure(f'{what}: lost of {sum(run.published)}', run.lost, 'images', 0, 'lower'),
        Figure(f'{what}: recorder', run.cores, 'cores', cores, 'lower'),
        Figure(f'{what}: largest memory', max(run.memory_mb), 'MB', 300, 'lower'),
        Figure(f'{what}: memory, last third - first', growth_mb, 'MB', 10, 'lower'),
    ]


@contextmanager
def _home(size_bytes: float) -> Iterator[Path]:
    """A folder on the disk of runs/, with room for so much."""
    runs = Path('runs')
    runs.mkdir(exist_ok=True)
    needed = size_bytes * 1.1 + (3 << 30)
    free = shutil.disk_usage(runs).free
    if free < needed:
        raise ValueError(
            f'{free / 1e9:.0f} GB free at {runs.resolve()}, {needed / 1e9:.0f} GB needed; '
            'set BENCH_RECORD_S to something shorter'
        )
    with tempfile.TemporaryDirectory(prefix='bench-recorder-', dir=runs.resolve()) as home:
        yield Path(home)
