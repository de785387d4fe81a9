"""Single frames of many scenes, with what stands where: to pre-train a vision tower on.

No physics: a scene is built, the robot is put into a posture that an operator really had, the named item is left
standing, nudged, put near a hand or into it, and the cameras are rendered. Thousands of scenes a minute, where a
hundred demonstrations show a hundred.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

import mujoco
import numpy as np
import numpy.typing as npt
from lwd_policy_node.image_size import fitted
from lwd_policy_node.pool_worker import begin_worker
from lwd_policy_node.profile import RobotProfile, load_profile

from lwd_sim.operator import Operator, Skill
from lwd_sim.tasks.scene import SIDES
from lwd_sim.world import UnstableError, World

_log = logging.getLogger(__name__)
POSTURE_SCENES = 24  # whose operator lends its postures
POSTURE_NOISE_RAD = 0.03
HELD, APPROACHED, NUDGED = 0.25, 0.25, 0.15  # shares of the frames
SCENES_A_JOB = 50
NEAR_M = 0.2  # a hand's camera sees what is nearer


@dataclass(frozen=True, slots=True)
class Glimpses:
    """N frames of one task."""

    task: str
    images: npt.NDArray[np.uint8]  # (N, C, h, w, 3) RGB, cameras in the profile's order
    labels: npt.NDArray[
        np.float32
    ]  # (N, L) m: the task's, then the named item in the left and the right tool frame
    instructions: list[str]


def collect(
    profile_name: str,
    task: str,
    scenes: int,
    *,
    frames: int = 3,
    seed0: int = 10_000_000,
    workers: int = 2,
    advance: Callable[[int], None] = lambda done: None,
) -> Glimpses:
    """Render `frames` glimpses of each of `scenes` scenes.

    Args:
        profile_name: robot profile.
        task: whose scenes.
        scenes: seeds seed0, seed0 + 1, ...; keep them apart from demonstrations' and evaluation's.
        frames: of each scene.
        seed0: first seed.
        workers: processes.
        advance: called with the number of scenes done since the last call.

    Raises:
        KeyError: no such task.
        ValueError: the task names no item.
    """
    refuse_unnamed(profile_name, (task,))
    bank = postures(load_profile(profile_name), task, seed0 - POSTURE_SCENES)
    jobs = [
        (seed, min(SCENES_A_JOB, seed0 + scenes - seed))
        for seed in range(seed0, seed0 + scenes, SCENES_A_JOB)
    ]
    parts = {}
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(workers, context, _open, (profile_name, task, bank)) as pool:
        running = {pool.submit(_glimpse, seed, count, frames): seed for seed, count in jobs}
        for done in as_completed(running):
            parts[running[done]] = done.result()
            advance(SCENES_A_JOB)
    ordered = [parts[seed] for seed, _ in jobs]
    return Glimpses(
        task,
        np.concatenate([images for images, _, _ in ordered]),
        np.concatenate([labels for _, labels, _ in ordered]),
        [text for _, _, texts in ordered for text in texts],
    )


def refuse_unnamed(profile_name: str, tasks: Iterable[str]) -> None:
    """Raise ValueError for a task that names no item, KeyError for one that does not exist."""
    world = World(load_profile(profile_name), render=False)
    for task in tasks:
        world.reset(task, 0)
        if not world.task.target_bodies:
            raise ValueError(
                f'task {task!r} names no item that could be seen in a hand (its target_bodies are empty); '
                'pre-train on other tasks'
            )


def postures(profile: RobotProfile, task: str, seed0: int) -> npt.NDArray[np.float64]:
    """Robot postures (N, len(actuators)) of an operator at work, in actuator order, finger strokes in m.

    A scene whose simulation blows up is named in the log and lends none.
    """
    world = World(profile, render=False)
    bank = []
    for seed in range(seed0, seed0 + POSTURE_SCENES):
        try:
            bank += _postures_of(world, task, seed)
        except UnstableError as error:
            _log.warning('no postures of this scene: %s', error)
    return np.array(bank)


def _postures_of(world: World, task: str, seed: int) -> list[npt.NDArray[np.float64]]:
    world.reset(task, seed)
    operator = Operator(world, Skill.noisy(), seed)
    found = []
    for tick in range(round(world.time_limit_s * world.profile.control_rate_hz)):
        world.step(operator.act(), images=False)
        if tick % 3 == 0:
            found.append(world.scene.data.qpos[world.scene.actuator_qpos])
        if world.success or operator.gave_up:
            break
    return found


_worker: tuple[World, str, npt.NDArray[np.float64]]


def _open(profile_name: str, task: str, bank: npt.NDArray[np.float64]) -> None:
    global _worker
    begin_worker()
    _worker = World(load_profile(profile_name)), task, bank


def _glimpse(
    seed0: int, scenes: int, frames: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], list[str]]:
    world, task, bank = _worker
    images, labels, texts = [], [], []
    for seed in range(seed0, seed0 + scenes):
        rng = np.random.default_rng([11, seed])
        for _ in range(frames):
            world.reset(task, seed)
            _disturb(world, bank, rng)
            seen = world.observe()
            images.append(
                np.stack(
                    [
                        fitted(seen.images[camera.name], *world.profile.policy_image_size)
                        for camera in world.profile.cameras
                    ]
                )
            )
            labels.append(np.concatenate([world.label(), _from_hands(world)]))
            texts.append(seen.instruction)
    return np.stack(images), np.stack(labels), texts


def _from_hands(world: World) -> npt.NDArray[np.float32]:
    """The named item as each hand sees it, (6,) m in the tool frames; NaN for a hand that is far away."""
    scene = world.scene
    item = scene.position(world.task.target_bodies[0])
    seen = []
    for side in SIDES:
        offset = scene.tool_axes(side).T @ (item - scene.tcp(side))
        seen.append(offset if np.linalg.norm(offset) < NEAR_M else np.full(3, np.nan))
    return np.concatenate(seen).astype(np.float32)


def _disturb(world: World, bank: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
    scene = world.scene
    model, data = scene.model, scene.data
    posture = bank[rng.integers(len(bank))].copy()
    posture[:14] += rng.normal(scale=POSTURE_NOISE_RAD, size=14)
    data.qpos[scene.actuator_qpos] = posture
    scene.close_linkages()
    mujoco.mj_kinematics(model, data)
    address, *others = (scene.item(name).qpos for name in world.task.target_bodies)
    stood = data.qpos[address : address + 3].copy()
    chance = rng.random()
    hand = SIDES[int(rng.integers(2))]
    if chance < HELD:
        data.qpos[address : address + 3] = scene.tcp(hand) + rng.normal(scale=0.006, size=3)
    elif chance < HELD + APPROACHED:
        data.qpos[address : address + 2] = scene.tcp(hand)[:2] + rng.normal(scale=0.035, size=2)
    elif chance < HELD + APPROACHED + NUDGED:
        data.qpos[address : address + 2] += rng.normal(scale=0.02, size=2)
    for other in others:
        data.qpos[other : other + 3] += data.qpos[address : address + 3] - stood
    mujoco.mj_kinematics(model, data)
    mujoco.mj_camlight(model, data)
