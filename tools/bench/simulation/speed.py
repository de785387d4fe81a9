"""Simulated seconds per CPU second of one world while the robot works: ``python -m tools.bench.simulation.speed tea``.

Prints one JSON object, by task. An expert's commands are recorded first and replayed for the measurement, so the
physics has the contacts of real work and the operator's thinking is not counted. CPU time of this process, not wall
time: the machine may be busy with other things.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from lwd_policy_node.profile import RobotProfile, load_profile
from lwd_sim.operator import Operator, Skill
from lwd_sim.world import World

PROFILE = 'g1_laptop'
CAMERA_PX = 84
SEED = 700_000_000
REPEATS = 3

Actions = list[npt.NDArray[np.float64]]


def main() -> None:
    """Measure the tasks named on the command line; without images if the backend is ``none``.

    The environment has chosen the same one (``MUJOCO_GL``).
    """
    backend, *tasks = sys.argv[1:]
    if backend == 'none':
        print(json.dumps({task: {'blind': blind_factor(task)} for task in tasks}))
        return
    print(json.dumps({task: seeing_factors(task) for task in tasks}))


def blind_factor(task: str) -> float:
    """Times real time without images."""
    profile = load_profile(PROFILE)
    return _factor(World(profile, render=False), task, _recorded(profile, task), 0)


def seeing_factors(task: str) -> dict[str, float]:
    """Times real time with three cameras at every tick, and at replanning ticks only."""
    profile = load_profile(PROFILE)
    cameras = tuple(
        replace(camera, width=CAMERA_PX, height=CAMERA_PX) for camera in profile.cameras
    )
    world = World(replace(profile, cameras=cameras))
    actions = _recorded(profile, task)
    factors = {
        'every tick': _factor(world, task, actions, 1),
        'replanning': _factor(world, task, actions, profile.replan_steps),
    }
    world.close()
    return factors


def _recorded(profile: RobotProfile, task: str) -> Actions:
    """What an expert does in one episode."""
    world = World(profile, render=False)
    world.reset(task, SEED)
    operator = Operator(world, Skill.expert(), SEED)
    actions: Actions = []
    while not world.success and world.tick < world.time_limit_s * profile.control_rate_hz:
        actions.append(operator.act())
        world.step(actions[-1])
    return actions


def _factor(world: World, task: str, actions: Actions, images_every: int) -> float:
    """Median of several runs; ``images_every`` ticks, 0 is never."""
    factors = []
    for _ in range(REPEATS):
        world.reset(task, SEED)
        started = time.process_time()
        for tick, action in enumerate(actions):
            if images_every and tick % images_every == 0:
                world.observe()
            world.step(action, images=False)
        seconds = len(actions) * world.profile.control_period_s
        factors.append(seconds / (time.process_time() - started))
    return statistics.median(factors)


if __name__ == '__main__':
    main()
