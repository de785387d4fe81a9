"""Batches with images, against nothing but decoding the same JPEGs on the same cores."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import simplejpeg
from lwd_learner.replay import (
    EpisodeFrames,
    Prefetcher,
    Replay,
    ReplayLayout,
    Sampler,
    SamplerConfig,
)

from tools.bench.figure import Figure
from tools.bench.replay_area.episodes import Size, pictures
from tools.bench.replay_area.large import layout

SIZE = Size(width=224, height=224)
BATCH = 256
HORIZON = 30
EPISODE_ROWS = 600


def measure_decoding(folder: Path, frames: int, batches: int, repeats: int) -> list[Figure]:
    """Images per second of the prefetcher and of the decoder alone, in turns."""
    cores = len(os.sched_getaffinity(0))
    make_replay(folder, frames, layout())
    replay = Replay.open(folder)
    rates: dict[str, list[float]] = {'pure': [], 'ours': []}
    by_cpu: dict[str, list[float]] = {'pure': [], 'ours': []}
    for _ in range(repeats):
        for name, work in (('pure', _pure), ('ours', _batches)):
            cpu = _cpu_s()
            images, seconds, images_in_all = work(cores, batches, replay)
            rates[name].append(images / seconds)
            by_cpu[name].append(images_in_all / (_cpu_s() - cpu))
    wall = [ours / pure for ours, pure in zip(rates['ours'], rates['pure'], strict=True)]
    cpu_ratio = [ours / pure for ours, pure in zip(by_cpu['ours'], by_cpu['pure'], strict=True)]
    print(f'{cores} cores, images/s: {rates}; images per CPU second: {by_cpu}')
    return [
        Figure(
            'batch 256, 6 images 224x224: share of the pure JPEG decode rate',
            median(wall),
            '',
            0.8,
            'higher',
        ),
        Figure('the same by CPU time', median(cpu_ratio), '', 0.8, 'higher'),
    ]


def _cpu_s() -> float:
    of = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in of)


def _batches(cores: int, batches: int, replay: Replay) -> tuple[int, float, int]:
    """Images and seconds in the steady state, and images decoded from start to end."""
    config = SamplerConfig(batch_size=BATCH, horizon=HORIZON)
    with Prefetcher(Sampler(replay, config), cores) as prefetcher:
        for _ in range(cores + 1):
            next(prefetcher)
        began = time.perf_counter()
        for _ in range(batches):
            next(prefetcher)
        seconds = time.perf_counter() - began
    return batches * BATCH * 6, seconds, (batches + 2 * cores + 1) * BATCH * 6


def _pure(cores: int, batches: int, _replay: Replay) -> tuple[int, float, int]:
    images = batches * BATCH * 6 // cores
    context = multiprocessing.get_context('spawn')
    ready, go = context.Barrier(cores + 1), context.Barrier(cores + 1)
    workers = [context.Process(target=_decode, args=(images, ready, go)) for _ in range(cores)]
    for worker in workers:
        worker.start()
    ready.wait()
    began = time.perf_counter()
    go.wait()
    for worker in workers:
        worker.join()
    return images * cores, time.perf_counter() - began, images * cores


def _decode(count: int, ready: Any, go: Any) -> None:
    jpegs = pictures(SIZE)
    out = np.empty((256, SIZE.height, SIZE.width, 3), np.uint8)
    ready.wait()
    go.wait()
    for i in range(count):
        simplejpeg.decode_jpeg(jpegs[i % len(jpegs)], buffer=out[i % len(out)])


def make_replay(folder: Path, frames: int, of: ReplayLayout) -> None:
    """A replay whose rows all bring three new 224x224 JPEGs."""
    replay = Replay.create(folder, of)
    jpegs = pictures(SIZE)
    rng = np.random.default_rng(0)
    for number in range(max(1, frames // EPISODE_ROWS)):
        replay.append('online', [_episode(number, jpegs, rng, of)])


def _episode(number: int, jpegs: list[bytes], rng: Any, of: ReplayLayout) -> EpisodeFrames:
    rows = EPISODE_ROWS
    return EpisodeFrames(
        episode_id=f'e-{number}',
        robot_id='g1_01',
        task='restock',
        instruction='do it',
        kind='rollout',
        outcome='success',
        stamp_s=np.arange(rows) / 30.0,
        state=rng.normal(size=(rows, len(of.state_columns))).astype(np.float32),
        action=rng.normal(size=(rows, len(of.joint_names))).astype(np.float32),
        source=np.ones(rows, np.uint8),
        policy_version=np.ones(rows, np.int64),
        jpeg={
            camera: [jpegs[(t * 3 + c) % len(jpegs)] for t in range(rows)]
            for c, camera in enumerate(of.cameras)
        },
    )
