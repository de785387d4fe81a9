"""``ros2 run lwd_sim make_data``: scripted episodes as real bags in a store, on all cores, resumable."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Literal

import tyro
from lwd_policy_node.places import default_store
from lwd_policy_node.pool_worker import begin_worker
from lwd_policy_node.profile import load_profile
from lwd_recorder.delivery.deliver import deliver
from lwd_recorder.manifest import MANIFEST_NAME, EpisodeManifest
from lwd_recorder.store import StoreError, open_store
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lwd_sim.data.episode_bag import Plan, record
from lwd_sim.operator import Skill
from lwd_sim.rendering.gl_backend import RenderingUnavailableError
from lwd_sim.tasks import SHIFTS, TASKS
from lwd_sim.world import UnstableError, World, check_rates

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Options:
    """Write scripted episodes as bags into a store; those that are there already are not made again."""

    task: str = 'restock'
    """Task, several separated by commas, or all."""
    episodes: int = 200
    """Episodes of each task."""
    hours: float = 0.0
    """Simulated hours in all, the same share for each task, instead of a number of episodes; the last episodes may
    go a little beyond."""
    skill: Literal['expert', 'noisy', 'play'] = 'noisy'
    """How well the operator works; play is aimless motion, kept apart by its kind."""
    shift: str = 'trained'
    """Randomisation level of the scenes."""
    out: str = field(default_factory=default_store)
    """Store: a folder or s3://bucket/prefix."""
    profile: str = 'g1_laptop'
    """Robot profile: a known name or a path to a YAML."""
    robot_id: str = 'demo_01'
    """Robot that the episodes are attributed to."""
    seed0: int = 0
    """Seed of the first scene; the others follow."""
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    """Processes."""
    json: bool = False
    """Print one JSON object at the end instead of a progress bar."""


@dataclass(slots=True)
class _Share:
    """What is asked for of one task, and how far it is."""

    task: str
    plans: Iterator[Plan]
    need_s: float  # simulated seconds; infinite where episodes are counted
    have_s: float = 0.0
    episodes: int = 0


def shares(options: Options) -> list[_Share]:
    """What the options ask for, by task; the ids of episodes depend on nothing but the options.

    Raises:
        ValueError: an unknown task or shift, or no time.
    """
    if options.shift not in SHIFTS:
        raise ValueError(f'--shift {options.shift!r} is not one of {", ".join(SHIFTS)}')
    if not 0.0 <= options.hours < math.inf:
        raise ValueError(f'--hours {options.hours}: give simulated hours, more than 0')
    names = sorted(TASKS) if options.task == 'all' else options.task.split(',')
    for name in names:
        if name not in TASKS:
            known = ', '.join(sorted(TASKS))
            raise ValueError(f'--task {name!r} is not one of {known}, or all')
    need_s = 3600 * options.hours / len(names) if options.hours else math.inf
    return [_Share(name, _plans(options, name), need_s) for name in names]


def _plans(options: Options, task: str) -> Iterator[Plan]:
    skill = {'expert': Skill.expert, 'noisy': Skill.noisy, 'play': Skill.play}[options.skill]()
    kind = 'play' if options.skill == 'play' else 'demonstration'
    for seed in count(options.seed0) if options.hours else _seeds(options):
        facts = json.dumps([task, options.shift, options.profile, asdict(skill), seed])
        digest = hashlib.sha256(facts.encode()).hexdigest()[:8]
        episode_id = f'{options.robot_id}-{task}-{seed:07d}-{digest}'
        yield Plan(episode_id, options.robot_id, task, seed, options.shift, kind, skill)  # type: ignore[arg-type]


def _seeds(options: Options) -> range:
    return range(options.seed0, options.seed0 + options.episodes)


def main() -> None:
    """Make the data; exit 0, 1 on an error, 130 on Ctrl-C (what is delivered stays delivered)."""
    options = tyro.cli(Options, prog='make_data')
    console = Console(stderr=True, markup=False, emoji=False)
    try:
        counts = make(options, console)
    except KeyboardInterrupt:
        console.print('make_data: interrupted; run it again to go on where it stopped')
        sys.exit(INTERRUPTED)
    except (ValueError, StoreError, RenderingUnavailableError) as error:
        console.print(f'make_data: {error}', style='red', soft_wrap=True)
        sys.exit(1)
    if options.json:
        print(json.dumps(counts))
    else:
        console.print(
            f'{counts["made"]} episodes made, {counts["present"]} were there; '
            f'{counts["success"]} of the new ones succeeded; {counts["failed"]} could not be simulated; '
            f'{counts["hours"]:.2f} simulated h in all; '
            f'store {options.out}',
            soft_wrap=True,
        )


def make(options: Options, console: Console) -> dict[str, float]:
    """Make what is missing in the store; return counts of made, present, success and failed, and the simulated hours.

    An episode whose simulation blows up (failed) is named and not made; the others are.

    Raises:
        ValueError: an option or the profile is wrong.
        StoreError: the store cannot be used; what it has taken stays there.
        RenderingUnavailableError: there is no OpenGL here.
    """
    asked = shares(options)
    check_rates(load_profile(options.profile))
    store = open_store(options.out)
    present = {
        found.key.split('/')[-2]: found.key
        for found in store.list(f'robots/{options.robot_id}/episodes/')
        if found.key.endswith(f'/{MANIFEST_NAME}')
    }
    counts = {'made': 0, 'present': 0, 'success': 0, 'failed': 0}
    workers = max(1, options.workers)
    context = multiprocessing.get_context('spawn')
    with (
        _bars(options, console) as progress,
        ProcessPoolExecutor(workers, context, _open_world, (options,)) as pool,
    ):
        bars = {
            share.task: progress.add_task(share.task, total=_total(share, options))
            for share in asked
        }

        def advance(share: _Share, seconds: float) -> None:
            share.have_s += seconds
            share.episodes += 1
            progress.update(bars[share.task], completed=_completed(share, options))

        def missing() -> Iterator[tuple[_Share, Plan]]:
            for share in asked:
                for plan in share.plans:
                    if share.have_s >= share.need_s:
                        break
                    if plan.episode_id in present:
                        counts['present'] += 1
                        there = EpisodeManifest.from_json(
                            store.read_bytes(present[plan.episode_id])
                        )
                        advance(share, there.ended_s - there.started_s)
                    else:
                        yield share, plan

        todo = missing()
        running: dict[Future[tuple[str, float]], _Share] = {}
        try:
            while True:
                for share, plan in islice(todo, workers - len(running)):
                    running[pool.submit(_one, plan)] = share
                if not running:
                    break
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    try:
                        outcome, seconds = done.result()
                    except UnstableError as error:
                        counts['failed'] += 1
                        console.print(str(error), style='red', markup=False)
                        del running[done]
                        continue
                    counts['made'] += 1
                    counts['success'] += outcome == 'success'
                    advance(running.pop(done), seconds)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {**counts, 'hours': sum(share.have_s for share in asked) / 3600}


def _bars(options: Options, console: Console) -> Progress:
    """One bar a task: episodes, or simulated minutes."""
    unit = 'simulated min' if options.hours else 'episodes'
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=options.json)


def _total(share: _Share, options: Options) -> float:
    return share.need_s / 60 if options.hours else options.episodes


def _completed(share: _Share, options: Options) -> float:
    return min(share.have_s, share.need_s) / 60 if options.hours else share.episodes


_worker: tuple[World, Options]


def _open_world(options: Options) -> None:
    global _worker
    begin_worker()
    _worker = World(load_profile(options.profile)), options


def _one(plan: Plan) -> tuple[str, float]:
    """Make and deliver one episode; return its outcome and its simulated seconds."""
    world, options = _worker
    scratch = Path(tempfile.mkdtemp(prefix='lwd_make_data_'))
    try:
        folder = scratch / plan.episode_id
        manifest = record(world, plan, options.profile, folder)
        deliver(open_store(options.out), folder)
    except UnstableError as error:
        raise UnstableError(f'{plan.episode_id} is not made: {error}') from error
    finally:
        shutil.rmtree(scratch)
    return manifest.outcome, manifest.ended_s - manifest.started_s


if __name__ == '__main__':
    main()
