"""``ros2 run lwd_sim make_data``: scripted episodes as real bags in a store, on all cores, resumable."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import tyro
from lwd_policy_node.profile import load_profile
from lwd_recorder.delivery.deliver import deliver
from lwd_recorder.manifest import MANIFEST_NAME
from lwd_recorder.paths import default_store
from lwd_recorder.store import open_store
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lwd_sim.data.episode_bag import Plan, record
from lwd_sim.operator import Skill
from lwd_sim.tasks import SHIFTS, TASKS
from lwd_sim.world import World

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Options:
    """Write scripted episodes as bags into a store; those that are there already are not made again."""

    task: str = 'restock'
    """Task, or several separated by commas."""
    episodes: int = 200
    """Episodes of each task."""
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


def plans(options: Options) -> Iterator[Plan]:
    """Every episode that the options ask for; ids depend on nothing but the options.

    Raises:
        ValueError: an unknown task or shift.
    """
    if options.shift not in SHIFTS:
        raise ValueError(f'--shift {options.shift!r} is not one of {", ".join(SHIFTS)}')
    skill = {'expert': Skill.expert, 'noisy': Skill.noisy, 'play': Skill.play}[options.skill]()
    kind = 'play' if options.skill == 'play' else 'demonstration'
    for task in options.task.split(','):
        if task not in TASKS:
            raise ValueError(f'--task {task!r} is not one of {", ".join(sorted(TASKS))}')
        for seed in range(options.seed0, options.seed0 + options.episodes):
            facts = json.dumps([task, options.shift, options.profile, asdict(skill), seed])
            digest = hashlib.sha256(facts.encode()).hexdigest()[:8]
            episode_id = f'{options.robot_id}-{task}-{seed:07d}-{digest}'
            yield Plan(episode_id, options.robot_id, task, seed, options.shift, kind, skill)  # type: ignore[arg-type]


def main() -> None:
    """Make the data; exit 0, 1 on an error, 130 on Ctrl-C (what is delivered stays delivered)."""
    options = tyro.cli(Options, prog='make_data')
    console = Console(stderr=True)
    try:
        counts = make(options, console)
    except KeyboardInterrupt:
        console.print('make_data: interrupted; run it again to go on where it stopped')
        sys.exit(INTERRUPTED)
    except ValueError as error:
        console.print(f'[red]make_data: {error}')
        sys.exit(1)
    if options.json:
        print(json.dumps(counts))
    else:
        console.print(
            f'{counts["made"]} episodes made, {counts["present"]} were there; '
            f'{counts["success"]} of the new ones succeeded; store {options.out}'
        )


def make(options: Options, console: Console) -> dict[str, int]:
    """Make what is missing in the store; return counts of made, present and success."""
    wanted = list(plans(options))
    store = open_store(options.out)
    prefix = f'robots/{options.robot_id}/episodes/'
    present = {
        found.key.split('/')[-2]
        for found in store.list(prefix)
        if found.key.endswith(f'/{MANIFEST_NAME}')
    }
    missing = [plan for plan in wanted if plan.episode_id not in present]
    counts = {'made': 0, 'present': len(wanted) - len(missing), 'success': 0}
    columns = (
        TextColumn('demonstrations'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    context = multiprocessing.get_context('spawn')
    with (
        Progress(*columns, console=console, disable=options.json) as progress,
        ProcessPoolExecutor(max(1, options.workers), context, _open_world, (options,)) as pool,
    ):
        bar = progress.add_task('', total=len(missing))
        try:
            for done in as_completed([pool.submit(_one, plan) for plan in missing]):
                counts['made'] += 1
                counts['success'] += done.result() == 'success'
                progress.advance(bar)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return counts


_worker: tuple[World, Options]


def _open_world(options: Options) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    _worker = World(load_profile(options.profile)), options


def _one(plan: Plan) -> str:
    world, options = _worker
    scratch = Path(tempfile.mkdtemp(prefix='lwd_make_data_'))
    try:
        folder = scratch / plan.episode_id
        manifest = record(world, plan, options.profile, folder)
        deliver(open_store(options.out), folder)
    finally:
        shutil.rmtree(scratch)
    return manifest.outcome


if __name__ == '__main__':
    main()
