"""One evaluation episode: the policy acts in one simulated world as it would on a robot."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from lwd_policy_node.episode import SUCCESS_HOLD_S
from lwd_policy_node.profile import RobotProfile

_log = logging.getLogger(__name__)
EVALUATION_SEED0 = 500_000_000
"""First scene seed of evaluation; demonstrations count from 0 and fleets from far below."""


class SimObservation(Protocol):
    """Images, state, instruction; images are empty between camera ticks."""

    @property
    def images(self) -> Mapping[str, npt.NDArray[np.uint8]]: ...  # noqa: D102
    @property
    def state(self) -> npt.NDArray[np.float32]: ...  # noqa: D102
    @property
    def instruction(self) -> str: ...  # noqa: D102


class SimWorld(Protocol):
    """What is used of `lwd_sim.world.World`."""

    def reset(self, task: str, seed: int, shift: Any = 'trained') -> SimObservation: ...  # noqa: D102
    def step(self, action: npt.NDArray[np.float64], images: bool = True) -> SimObservation: ...  # noqa: D102
    def observe(self, images: bool = True) -> SimObservation: ...  # noqa: D102
    @property
    def success(self) -> bool: ...  # noqa: D102
    @property
    def progress(self) -> float: ...  # noqa: D102
    @property
    def time_limit_s(self) -> float: ...  # noqa: D102


ActFunction = Callable[[SimObservation, int], npt.NDArray[np.float64]]
"""(observation with images, seed) -> chunk (H, A) of absolute targets."""


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """What came of one episode."""

    task: str
    seed: int
    success: bool
    progress: float
    """Largest share of the task's stages that was done."""
    duration_s: float
    """Simulated seconds until success had held, the time limit, or the simulation blew up."""


def run_episode(
    world: SimWorld,
    act: ActFunction,
    profile: RobotProfile,
    task: str,
    seed: int,
    shift: str = 'trained',
    latency_steps: int = 1,
) -> EpisodeResult:
    """Execute `replan_steps` of each chunk, then replan, until success has held for `SUCCESS_HOLD_S` or the time limit.

    An episode whose simulation blows up ends there and is a failure.

    The chunk made from the observation at tick t is used from tick t + latency_steps on, indexed
    by time, as on the robot; until then the previous one goes on.

    Args:
        world: a simulated robot.
        act: the policy.
        profile: control rate and replan_steps.
        task: its name.
        seed: of scene and policy noise.
        shift: how the scene is varied.
        latency_steps: control ticks from observation to chunk.
    """
    from lwd_sim.world import (
        UnstableError,
    )  # with MuJoCo: whoever reads results alone does without

    world.reset(task, seed, shift)
    limit = round(world.time_limit_s * profile.control_rate_hz)
    plans: list[tuple[int, npt.NDArray[np.float64]]] = []  # (tick of the observation, chunk)
    progress = world.progress
    hold = math.ceil(SUCCESS_HOLD_S * profile.control_rate_hz)
    tick = succeeded = 0
    while tick < limit and succeeded < hold:
        if tick % profile.replan_steps == 0:
            plans.append((tick, act(world.observe(), seed * 1000 + tick)))
        made, chunk = next(
            (plan for plan in reversed(plans) if tick - plan[0] >= latency_steps), plans[0]
        )
        try:
            world.step(chunk[min(tick - made, len(chunk) - 1)], images=False)
        except UnstableError as error:
            _log.warning('counted as a failure: %s', error)
            break
        tick += 1
        succeeded = succeeded + 1 if world.success else 0
        progress = max(progress, world.progress)
    return EpisodeResult(task, seed, succeeded >= hold, progress, tick * profile.control_period_s)
