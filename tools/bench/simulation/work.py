"""What the scripted operator achieves, and what writing its episodes as bags costs."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from pathlib import Path

from lwd_policy_node.profile import load_profile
from lwd_sim.data.episode_bag import Plan, record
from lwd_sim.operator import Operator, Skill
from lwd_sim.tasks import Shift
from lwd_sim.world import UnstableError, World

PROFILE = 'g1_laptop'
SEED0 = 700_000_000  # no test and nobody who wrote a task has seen these scenes

_worlds: dict[str, World] = {}


def solved(task: str, shift: Shift, seed: int) -> bool:
    """Whether an expert solves one scene within its time limit."""
    world = _worlds.setdefault('blind', World(load_profile(PROFILE), render=False))
    world.reset(task, seed, shift)
    operator = Operator(world, Skill.expert(), seed)
    limit = math.ceil(world.time_limit_s * world.profile.control_rate_hz)
    while world.tick < limit and not world.success and not operator.gave_up:
        try:
            world.step(operator.act())
        except UnstableError:
            return False
    return world.success


def cpu_per_simulated_second(task: str, simulated_s: float) -> float:
    """CPU seconds of one core per second of recorded data, of noisy demonstrations at least ``simulated_s`` long."""
    world = _worlds.setdefault('seeing', World(load_profile(PROFILE)))
    scratch = Path(tempfile.mkdtemp(prefix='lwd_bench_'))
    made_s = 0.0
    try:
        _demonstration(world, task, 0, scratch)  # compiles the scene
        started = time.process_time()
        while made_s < simulated_s:
            made_s += _demonstration(world, task, 1 + round(1000 * made_s), scratch)
        return (time.process_time() - started) / made_s
    finally:
        shutil.rmtree(scratch)


def _demonstration(world: World, task: str, number: int, scratch: Path) -> float:
    name = f'{task}-{number}'
    plan = Plan(name, 'bench', task, SEED0 + number, 'trained', 'demonstration', Skill.noisy())
    manifest = record(world, plan, PROFILE, scratch / name)
    shutil.rmtree(scratch / name)
    return manifest.ended_s - manifest.started_s
