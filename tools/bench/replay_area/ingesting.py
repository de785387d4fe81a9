"""Bags into a replay: speed of one core, memory of its worker, and how long a committed episode waits under load."""

from __future__ import annotations

import resource
import threading
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from lwd_learner.ingest import Ingest
from lwd_learner.replay import Replay, ReplayConfig
from lwd_policy_node.profile import RobotProfile
from lwd_recorder.bag import BagSummary
from lwd_recorder.manifest import EpisodeManifest
from lwd_recorder.store import FolderStore

from tools.bench.figure import Figure
from tools.bench.replay_area.episodes import Size, manifest_of, pictures, sized_profile, write_bag

SIZE = Size()
ROBOTS = 16


def put(store: FolderStore, summary: BagSummary, manifest: EpisodeManifest) -> None:
    """Deliver, manifest last."""
    for file in manifest.files:
        key = f'{manifest.key_prefix}/{file.name}'
        store.put_file(summary.directory / file.name, key, file.sha256)
    store.put_bytes(manifest.to_json().encode(), f'{manifest.key_prefix}/manifest.json')


def measure_speed(folder: Path, seconds: float, repeats: int) -> list[Figure]:
    """Recorded seconds per CPU second of one process, every thread of it counted; and its resident memory."""
    profile = sized_profile(SIZE)
    store = FolderStore(folder / 'store')
    for number in range(repeats):
        name = f'e-{number}'
        bag = write_bag(folder / 'bags' / name, name, 'g1_01', seconds, profile, SIZE)
        put(store, bag, manifest_of(bag, name, 'g1_01', seconds, profile, time.time()))
    mean_kb = sum(map(len, pictures(SIZE))) / len(pictures(SIZE)) / 1000
    context = get_context('spawn')
    queue = context.Queue()
    process = context.Process(target=_ingest, args=(folder, queue))
    process.start()
    cpu_s, taken, memory_mb = queue.get()
    process.join()
    print(
        f'{taken} episodes of {seconds:g} s, 3 cameras 640x480 at 30 Hz, {mean_kb:.0f} kB a JPEG'
    )
    times = taken * seconds / cpu_s
    return [
        Figure(
            'bag -> replay, 3 JPEG cameras 640x480 30 Hz, one core',
            times,
            'x real time',
            50.0,
            'higher',
        ),
        Figure('memory of an ingest worker', memory_mb, 'MB', 500.0, 'lower'),
    ]


def _ingest(folder: Path, answers: Any) -> None:
    profile = sized_profile(SIZE)
    replay = Replay.create(folder / 'replay', profile, ReplayConfig(jpeg_cache_bytes=0))
    ingest = Ingest(FolderStore(folder / 'store'), replay, profile, folder / 'ingest.jsonl')
    began = time.process_time()
    results = ingest.poll()
    cpu_s = time.process_time() - began
    taken = sum(result.quarantined is None for result in results)
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    answers.put((cpu_s, taken, memory_mb))


def measure_latency(folder: Path, episodes: int, seconds: float) -> list[Figure]:
    """Sixteen robots deliver an episode each time one would have ended; manifest written to sampleable."""
    profile = sized_profile(SIZE)
    store = FolderStore(folder / 'store')
    replay = Replay.create(folder / 'replay', profile, ReplayConfig(jpeg_cache_bytes=0))
    ingest = Ingest(store, replay, profile, folder / 'ingest.jsonl')
    bags = [
        (robot, name, write_bag(folder / 'bags' / name, name, robot, seconds, profile, SIZE))
        for robot in (f'g1_{number + 1:02d}' for number in range(ROBOTS))
        for name in (f'{robot}-{turn}' for turn in range(-(-episodes // ROBOTS)))
    ]
    threads = [
        threading.Thread(target=_deliver, args=(store, profile, bags, number, seconds))
        for number in range(ROBOTS)
    ]
    for thread in threads:
        thread.start()
    waits: list[float] = []
    while any(thread.is_alive() for thread in threads) or len(waits) < len(bags):
        for result in ingest.poll():
            assert result.quarantined is None, result.quarantined
            waits.append(result.sampleable_wall_s - result.key_mtime_s)
        time.sleep(0.25)
    ingest.close()
    print(f'{len(waits)} episodes of {seconds:g} s from {ROBOTS} robots')
    return [
        Figure(
            'manifest committed -> sampleable, 16 robots, P50',
            float(np.quantile(waits, 0.5)),
            's',
            2.0,
            'lower',
        ),
        Figure(
            'manifest committed -> sampleable, 16 robots, P99',
            float(np.quantile(waits, 0.99)),
            's',
            10.0,
            'lower',
        ),
    ]


def _deliver(
    store: FolderStore,
    profile: RobotProfile,
    bags: list[tuple[str, str, BagSummary]],
    number: int,
    seconds: float,
) -> None:
    mine = [bag for bag in bags if bag[0] == f'g1_{number + 1:02d}']
    time.sleep(seconds * number / ROBOTS)
    for robot, name, bag in mine:
        began = time.monotonic()
        put(store, bag, manifest_of(bag, name, robot, seconds, profile, time.time()))
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))
