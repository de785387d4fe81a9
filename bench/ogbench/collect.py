"""``python -m bench.ogbench.collect``: play data of one family, made by OGBench's plan oracles.

As the published data sets are made: an oracle carries out one randomly chosen manipulation after the other, with noise
on its plans, in episodes of 1,001 states. An episode depends on its seed alone, so a run that was stopped goes on where
it was, and any number of processes makes the same data.
"""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.ogbench.place import data_folder

Family = Literal['cube-double', 'scene', 'puzzle-3x3']

EPISODE_STATES = 1001
"""States of an episode; its last action leads nowhere."""
EPISODES_PER_FILE = 5
"""Lost at most, per process, when a run is stopped."""
KEPT = ('qpos', 'qvel', 'button_states')
"""What tasks take their rewards from, beside observations."""


@dataclass(frozen=True, slots=True)
class CollectConfig:
    """Make play data; what is there already is kept."""

    family: Annotated[Family, tyro.conf.Positional]
    """Scene."""
    steps: int = 1_000_000
    """Transitions wanted, rounded up to whole files of 5,000."""
    seed: int = 0
    """First part of every episode's seed."""
    noise: float = 0.1
    """Of the oracles' plans, as a share of the action range."""
    workers: int = 1
    """Processes."""
    folder: Path | None = None
    """Where to; by default runs/ogbench/data/FAMILY."""


def main() -> None:
    """Make the files that are missing."""
    config = tyro.cli(CollectConfig, prog='collect', description=__doc__)
    folder = config.folder or data_folder(config.family)
    folder.mkdir(parents=True, exist_ok=True)
    per_file = EPISODES_PER_FILE * (EPISODE_STATES - 1)
    wanted = range(-(-config.steps // per_file))
    missing = [i for i in wanted if not file_of(folder, i).exists()]
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn())
    with (
        Progress(*columns, TimeRemainingColumn()) as bar,
        multiprocessing.get_context('spawn').Pool(config.workers) as pool,
    ):
        done = len(wanted) - len(missing)
        task = bar.add_task(f'{config.family}, files', total=len(wanted), completed=done)
        for _ in pool.imap_unordered(partial(write_file, config, folder), missing):
            bar.advance(task)


def file_of(folder: Path, number: int) -> Path:
    """Name of one file of episodes."""
    return folder / f'episodes-{number:05}.npz'


def write_file(config: CollectConfig, folder: Path, number: int) -> None:
    """Make and write one file of episodes, whole or not at all."""
    maker = EpisodeMaker(config)
    first = number * EPISODES_PER_FILE
    episodes = [maker.make(first + i) for i in range(EPISODES_PER_FILE)]
    path = file_of(folder, number)
    partial_path = path.with_suffix('.partial')
    with partial_path.open('wb') as file:
        arrays: dict[str, Any] = {k: np.stack([e[k] for e in episodes]) for k in episodes[0]}
        np.savez(file, **arrays)
    partial_path.replace(path)


class EpisodeMaker:
    """An environment and the oracles that act in it."""

    def __init__(self, config: CollectConfig) -> None:
        """Start the environment."""
        import gymnasium
        import ogbench.manipspace  # noqa: F401  registers the environments

        gymnasium.logger.min_level = gymnasium.logger.ERROR  # it warns of float32 boxes, each time
        self._config = config
        self._env = gymnasium.make(
            f'{config.family}-v0',
            terminate_at_goal=False,
            mode='data_collection',
            max_episode_steps=EPISODE_STATES,
        )
        self._world: Any = self._env.unwrapped
        self._oracles = _oracles(config, self._env)

    def make(self, number: int) -> dict[str, np.ndarray]:
        """One episode: observations, actions and what rewards are taken from, (1001, ...) each."""
        attempt = 0
        while True:
            seeds = np.random.SeedSequence([self._config.seed, number, attempt])
            episode = self._attempt(*(int(s) for s in seeds.generate_state(2)))
            if self._config.family != 'scene' or cube_stays_in_sight(episode['qpos']):
                return episode
            attempt += 1

    def _attempt(self, world_seed: int, oracle_seed: int) -> dict[str, np.ndarray]:
        np.random.seed(oracle_seed)  # the oracles draw from the global generator
        observation, info = self._env.reset(seed=world_seed)
        stacking = np.random.uniform(0.0, 0.25) if self._config.family == 'cube-double' else 0.5
        oracle = self._oracles[info['privileged/target_task']]
        oracle.reset(observation, info)
        rows: dict[str, list[np.ndarray]] = {}
        done = False
        while not done:
            action = np.clip(np.array(oracle.select_action(observation, info)), -1, 1)
            following, _, terminated, truncated, info = self._env.step(action)
            done = terminated or truncated
            row = {'observations': observation, 'actions': action}
            row |= {k: info[f'prev_{k}'] for k in KEPT if f'prev_{k}' in info}
            for name, value in row.items():
                rows.setdefault(name, []).append(np.array(value))
            observation = following
            if oracle.done:
                target, target_info = self._world.set_new_target(p_stack=stacking)
                oracle = self._oracles[target_info['privileged/target_task']]
                oracle.reset(target, target_info)
        whole = {'button_states': np.int8}
        return {k: np.stack(v).astype(whole.get(k, np.float32)) for k, v in rows.items()}


def cube_stays_in_sight(qpos: np.ndarray) -> bool:
    """Whether the scene's cube, from qpos (T, n), is always on the table or in the drawer; others are made again."""
    y, z = qpos[:, 15], qpos[:, 16]
    off_right = (y >= 0.29).any()
    off_left = ((y <= -0.3) & ((z < 0.06) | (z > 0.08))).any()
    return not (off_right or off_left)


def _oracles(config: CollectConfig, env: Any) -> dict[str, Any]:
    from ogbench.manipspace.oracles.plan.button_plan import ButtonPlanOracle
    from ogbench.manipspace.oracles.plan.cube_plan import CubePlanOracle
    from ogbench.manipspace.oracles.plan.drawer_plan import DrawerPlanOracle
    from ogbench.manipspace.oracles.plan.window_plan import WindowPlanOracle

    noise = {'noise': config.noise, 'noise_smoothing': 0.5}
    if config.family == 'cube-double':
        return {'cube': CubePlanOracle(env=env, **noise)}
    if config.family == 'puzzle-3x3':
        return {'button': ButtonPlanOracle(env=env, gripper_always_closed=True, **noise)}
    return {
        'cube': CubePlanOracle(env=env, **noise),
        'button': ButtonPlanOracle(env=env, **noise),
        'drawer': DrawerPlanOracle(env=env, **noise),
        'window': WindowPlanOracle(env=env, **noise),
    }


if __name__ == '__main__':
    main()
