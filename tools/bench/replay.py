"""From bags to batches: speed and memory of ingest, waiting under load, decoding, and replays of ten million frames.

``BENCH_EPISODE_S`` (60) recorded seconds of an episode for the speed, ``BENCH_EPISODES`` (4) of them;
``BENCH_BATCHES`` (16) batches a repeat and ``BENCH_REPEATS`` (5) for decoding; ``BENCH_FRAMES`` (10 million);
``BENCH_DELIVERIES`` (128) episodes of ``BENCH_DELIVERY_S`` (20) seconds from sixteen robots.
``BENCH_DIR`` (a temporary folder) needs 12 GB.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tools.bench.figure import Figure


def measure() -> list[Figure]:
    """All figures of the replay."""
    from tools.bench.replay_area.decoding import measure_decoding
    from tools.bench.replay_area.ingesting import measure_latency, measure_speed
    from tools.bench.replay_area.opening import measure_opening

    def knob(name: str, default: float) -> float:
        return float(os.environ.get(name, str(default)))

    with tempfile.TemporaryDirectory(dir=os.environ.get('BENCH_DIR')) as temporary:
        folder = Path(temporary)
        return [
            *measure_speed(
                folder / 'speed', knob('BENCH_EPISODE_S', 60), int(knob('BENCH_EPISODES', 4))
            ),
            *measure_decoding(
                folder / 'decoding',
                12_000,
                int(knob('BENCH_BATCHES', 16)),
                int(knob('BENCH_REPEATS', 5)),
            ),
            *measure_opening(folder / 'opening', int(knob('BENCH_FRAMES', 1e7))),
            *measure_latency(
                folder / 'latency',
                int(knob('BENCH_DELIVERIES', 128)),
                knob('BENCH_DELIVERY_S', 20),
            ),
        ]
