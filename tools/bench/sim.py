"""How fast one core simulates a robot: with images at every camera tick, and without any."""

from __future__ import annotations

import numpy as np
from lwd_policy_node.profile import load_profile
from lwd_sim.world import World

from tools.bench.figure import Figure, median_s

TICKS = 300  # 10 s of simulated time
PROFILE = 'g1_laptop'


def measure() -> list[Figure]:
    """Real-time factors of one world on one core, medians of five."""
    profile = load_profile(PROFILE)
    seconds = TICKS * profile.control_period_s
    factors = {}
    for name, render in (('with images', True), ('without images', False)):
        world = World(profile, render=render)
        world.reset(task='restock', seed=1, shift='trained')

        def run(world: World = world) -> None:
            for _ in range(TICKS):
                world.step(np.asarray(profile.home))

        factors[name] = seconds / median_s(run)
    cameras = 'three 64x64 cameras at 10 Hz'
    return [
        Figure(
            f'restock, {cameras}: times real time', factors['with images'], 'x', 15.0, 'higher'
        ),
        Figure(
            'restock, no images: times real time', factors['without images'], 'x', 20.0, 'higher'
        ),
    ]
