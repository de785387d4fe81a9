"""``ros2 run lwd_sim strip``: what the cameras see during one scripted episode, as one picture."""

from __future__ import annotations

import json as json_format
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import tyro
from lwd_policy_node.profile import RobotProfile, load_profile

from lwd_sim.operator import Operator, Skill
from lwd_sim.rendering.gl_backend import RenderingUnavailableError
from lwd_sim.tasks import Shift
from lwd_sim.world import UnstableError, World

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Options:
    """Act out one episode and write a strip of camera pictures: a row a camera, a column a moment."""

    out: Path = Path('strip.png')
    """Picture to write."""
    task: str = 'restock'
    """Task."""
    seed: int = 0
    """Seed of the scene and of the operator's mistakes."""
    shift: Literal['trained', 'shift'] = 'trained'
    """Randomisation level."""
    skill: Literal['expert', 'noisy', 'play'] = 'expert'
    """How well the operator works."""
    profile: str = 'g1_laptop'
    """Robot profile: a known name or a path to a YAML."""
    columns: int = 10
    """Moments, evenly spread over the episode."""
    size: int = 0
    """Render this many pixels square instead of the profile's size; 0: the profile's."""
    zoom: int = 192
    """Height of a picture in the strip, px."""
    json: bool = False
    """Print one JSON object about the episode."""


def camera_strip(world: World, options: Options) -> tuple[Image, dict[str, object]]:
    """Act out the episode; return the strip (h, w, 3) RGB and what happened."""
    shift: Shift = options.shift
    skill = {'expert': Skill.expert, 'noisy': Skill.noisy, 'play': Skill.play}[options.skill]()
    world.reset(options.task, options.seed, shift)
    operator = Operator(world, skill, options.seed)
    moments = [world.observe().images]
    limit = math.ceil(world.time_limit_s * world.profile.control_rate_hz)
    while world.tick < limit and not world.success and not operator.gave_up:
        world.step(operator.act(), images=False)
        moments.append(world.observe().images)
    chosen = np.linspace(0, len(moments) - 1, options.columns).round().astype(int)
    columns = [
        np.concatenate([_zoomed(picture, options.zoom) for picture in moments[i].values()])
        for i in chosen
    ]
    facts: dict[str, object] = {
        'instruction': world.instruction,
        'success': world.success,
        'progress': world.progress,
        'length_s': world.tick * world.profile.control_period_s,
    }
    return np.concatenate(columns, axis=1), facts


def main() -> None:
    """Entry point of ``ros2 run lwd_sim strip``; exit 0, or 1 with a sentence."""
    options = tyro.cli(Options, prog='strip')
    try:
        world = World(_sized(load_profile(options.profile), options.size))
        strip, facts = camera_strip(world, options)
    except (KeyError, ValueError, RenderingUnavailableError, UnstableError) as error:
        print(f'strip: {error.args[0]}', file=sys.stderr)
        sys.exit(1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(options.out), cv2.cvtColor(strip, cv2.COLOR_RGB2BGR)):
        print(f'strip: {options.out}: no picture format by that ending; try .png', file=sys.stderr)
        sys.exit(1)
    facts['picture'] = str(options.out)
    print(
        json_format.dumps(facts)
        if options.json
        else '\n'.join(f'{k}: {v}' for k, v in facts.items())
    )


def _sized(profile: RobotProfile, size: int) -> RobotProfile:
    if size <= 0:
        return profile
    cameras = tuple(replace(camera, width=size, height=size) for camera in profile.cameras)
    return replace(profile, cameras=cameras)


def _zoomed(picture: Image, height: int) -> Image:
    width = round(picture.shape[1] * height / picture.shape[0])
    zoomed = cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(zoomed, dtype=np.uint8)


if __name__ == '__main__':
    main()
