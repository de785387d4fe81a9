#!/usr/bin/env python3
"""Write docs/tasks.md and its pictures: every task in its own words, done at both levels and gone wrong.

``python tools/pictures.py`` draws all tasks, ``--task tea,juice`` some; the text is written for all. Needs OpenGL.
"""

from __future__ import annotations

import inspect
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# isort: off
import lwd_sim  # noqa: F401  first: it chooses the OpenGL backend, which MuJoCo asks for when it is imported

# isort: on
import cv2
import mujoco
import numpy as np
import numpy.typing as npt
import tyro
from lwd_policy_node.profile import load_profile
from lwd_sim.operator import Operator, Skill
from lwd_sim.tasks import SHIFTS, TASKS, Shift, Task
from lwd_sim.world import World

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'tasks.md'
MARK = '<!-- below: written by tools/pictures.py from the tasks in src/lwd_sim; edit those -->'
PICTURES = ROOT / 'docs' / 'pictures'
CAPTIONS = PICTURES / 'captions.json'
TITLES = {'trained': 'Done, at `trained`', 'shift': 'Done, at `shift`', 'failure': 'Gone wrong'}
COLUMNS = 7  # at least: every stage is shown
WIDTH, HEIGHT = 210, 180  # px of one picture in a strip
MAX_BYTES = 60_000
ACROSS, ASIDE = (
    163.0,
    68.0,
)  # azimuths, degrees: over the table, or past it where its furniture has a back
LOOKS_FROM = {'cooler': ASIDE}
FAILURE_SEEDS = range(40)  # of the noisy operator, until one fails

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Options:
    """Draw the tasks and write docs/tasks.md."""

    task: str = 'all'
    """Tasks to draw, separated by commas, or all."""


@dataclass(frozen=True, slots=True)
class Take:
    """One acted episode: what to draw."""

    seed: int
    shift: Shift
    success: bool
    instruction: str
    qpos: list[npt.NDArray[np.float64]]  # at every tick
    done: list[int]  # stages, at every tick


def main() -> None:
    """Exit 0, or 1 with a sentence."""
    options = tyro.cli(Options, prog='pictures')
    names = list(TASKS) if options.task == 'all' else options.task.split(',')
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        sys.exit(f'pictures: no task {unknown[0]!r}; known: {", ".join(sorted(TASKS))}')
    PICTURES.mkdir(exist_ok=True)
    world = World(load_profile('g1_laptop'), render=False)
    for name in names:
        draw(world, name)
    PAGE.write_text(page(), encoding='utf-8')
    print(PAGE)


def draw(world: World, task: str) -> None:
    """A strip of a success at `trained`, of one at `shift`, and of a failure."""
    for shift in SHIFTS:
        takes = (act(world, task, seed, shift, Skill.expert()) for seed in range(10))
        keep(world, task, shift, next((take for take in takes if take.success), None))
    noisy = (act(world, task, seed, 'trained', Skill.noisy()) for seed in FAILURE_SEEDS)
    keep(world, task, 'failure', next((take for take in noisy if not take.success), None))


def act(world: World, task: str, seed: int, shift: Shift, skill: Skill) -> Take:
    """One episode of the scripted operator."""
    world.reset(task, seed, shift)
    operator = Operator(world, skill, seed)
    limit = math.ceil(world.time_limit_s * world.profile.control_rate_hz)
    qpos, done = [world.snapshot().qpos], [world.task.stages_done(world.scene)]
    while world.tick < limit and not world.success and not operator.gave_up:
        world.step(operator.act())
        qpos.append(world.snapshot().qpos)
        done.append(world.task.stages_done(world.scene))
    return Take(seed, shift, world.success, world.instruction, qpos, done)


def keep(world: World, task: str, what: str, take: Take | None) -> None:
    """Write one strip as JPEG, as good as fits; say so if there was nothing to draw."""
    path = PICTURES / f'{task}_{what}.jpg'
    known = captions()
    if take is None:
        path.unlink(missing_ok=True)
        write_captions({name: said for name, said in known.items() if name != path.stem})
        print(f'{task}: no {what} found')
        return
    picture = cv2.cvtColor(strip(world, task, take), cv2.COLOR_RGB2BGR)
    for quality in range(85, 20, -5):
        _, data = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if len(data) <= MAX_BYTES:
            break
    path.write_bytes(data.tobytes())
    write_captions({**known, path.stem: {'seed': take.seed, 'instruction': take.instruction}})
    print(f'{path.relative_to(ROOT)}: seed {take.seed}, "{take.instruction}", {len(data)} bytes')


def captions() -> dict[str, Any]:
    """What each picture shows, by the stem of its file: seed and instruction."""
    found: dict[str, Any] = json.loads(CAPTIONS.read_text()) if CAPTIONS.exists() else {}
    return found


def write_captions(said: dict[str, Any]) -> None:
    """Write them down."""
    CAPTIONS.write_text(json.dumps(said, indent=2, sort_keys=True) + '\n')


def strip(world: World, task: str, take: Take) -> Image:
    """An onlooker's view above the head camera's, at `moments` from left to right, (h, w, 3) RGB."""
    world.reset(task, take.seed, take.shift)
    model, data = world.scene.model, world.scene.data
    model.vis.quality.offsamples = 4
    model.vis.quality.numslices, model.vis.quality.numstacks = 28, 16
    onlooker = mujoco.MjvCamera()
    onlooker.lookat[:] = 0.88, 0.0, 0.92
    onlooker.distance, onlooker.elevation = 1.0, -33.0
    onlooker.azimuth = LOOKS_FROM.get(task, ACROSS)
    columns = []
    with mujoco.Renderer(model, HEIGHT, WIDTH) as renderer:
        for tick in moments(take.done):
            data.qpos[:] = take.qpos[tick]
            mujoco.mj_forward(model, data)
            views = []
            for camera in (onlooker, 'head'):
                renderer.update_scene(data, camera)
                views.append(renderer.render())
            caption(
                views[0],
                f'{tick / world.profile.control_rate_hz:.1f} s',
                f'{take.done[tick]}/{len(world.task.stages)}',
            )
            columns.append(np.concatenate(views))
    return np.concatenate(columns, axis=1)


def moments(done: list[int]) -> list[int]:
    """Which ticks to draw: the first, the last, each at which a stage was done for the first time; between them, the
    middle of the longest gap, until there are enough.
    """
    reached = [tick for tick in range(1, len(done)) if done[tick] > max(done[:tick])]
    ticks = sorted({0, *reached, len(done) - 1})
    while len(ticks) < min(COLUMNS, len(done)):
        gap = int(np.argmax(np.diff(ticks)))
        ticks.insert(gap + 1, (ticks[gap] + ticks[gap + 1]) // 2)
    return ticks


def caption(picture: Image, left: str, right: str) -> None:
    """Two short texts at the top of a picture, in place."""
    for text, x in ((left, 5), (right, WIDTH - 34)):
        for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(
                picture, text, (x, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, thick, cv2.LINE_AA
            )


def page() -> str:
    """The document: its hand-written beginning as it is, and a section a task."""
    head, mark, _ = PAGE.read_text(encoding='utf-8').partition(MARK)
    return head + mark + '\n' + ''.join(section(task) for task in TASKS.values())


def section(task: type[Task]) -> str:
    """One task, from its own words."""
    module = inspect.getdoc(sys.modules[task.__module__]) or ''
    varies = (inspect.getdoc(task.randomise) or '').split('\n\n')[0].replace('\n', ' ')
    stages = ''.join(f'{i}. {stage}\n' for i, stage in enumerate(task.stages, 1))
    heard = ''.join(f'- "{phrase}"\n' for phrase in task.phrases)
    unheard = ''.join(f'- "{phrase}" (at `shift` only)\n' for phrase in task.held_out_phrases)
    pictures = ''.join(
        f'{title}, seed {said["seed"]}, "{said["instruction"]}":\n\n'
        f'![{task.name}, {title.lower()}](pictures/{task.name}_{what}.jpg)\n\n'
        for what, title in TITLES.items()
        if (said := captions().get(f'{task.name}_{what}'))
    )
    about = ' '.join(module.split('\n\n')[0].split())
    scene = ' '.join((inspect.getdoc(task) or '').split('\n\n')[0].split())
    return (
        f'\n## {task.name}\n\n{about}\n\n{scene} Time limit {task.time_limit_s:g} s.\n\n'
        f'What varies: {varies}\n\nStages:\n\n{stages}\nInstructions:\n\n{heard}{unheard}\n{pictures}'
    ).rstrip() + '\n'


if __name__ == '__main__':
    main()
