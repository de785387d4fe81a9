"""What `collect` wrote, as single steps with a task's rewards."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.ogbench.chunks import Steps
from bench.ogbench.collect import EPISODE_STATES, EPISODES_PER_FILE, KEPT, file_of
from bench.ogbench.tasks import Task

BOX_MARGIN = 1e-5
"""Actions are clipped to 1 less this, as in the public code: the critic's slope is 0 outside the box."""


def load_steps(folder: Path, transitions: int, task: Task) -> Steps:
    """The first files of a family's data that hold `transitions` together, all of them, with the task's rewards.

    Raises:
        FileNotFoundError: there are not so many.
    """
    states, kept = read_states(folder, transitions)
    reward, success = task_rewards(task, kept)
    if task.sparse:
        reward = np.where(reward != 0, -1.0, 0.0)
    count = len(reward)
    last = (np.arange(count) // EPISODE_STATES + 1) * EPISODE_STATES - 1
    action = states['actions'].clip(-1 + BOX_MARGIN, 1 - BOX_MARGIN)
    return Steps(states['observations'], action, reward, success, last)


def read_states(
    folder: Path, transitions: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Observations and actions, and what rewards are taken from, (N, ...) each, of whole files."""
    files = -(-transitions // (EPISODES_PER_FILE * (EPISODE_STATES - 1)))
    parts: dict[str, list[np.ndarray]] = {}
    for number in range(files):
        path = file_of(folder, number)
        if not path.exists():
            raise FileNotFoundError(
                f'{path}: {transitions} transitions take {files} files; run bench.ogbench.collect '
                'for more, or train with fewer --transitions'
            )
        with np.load(path) as file:
            for name in file.files:
                parts.setdefault(name, []).append(file[name].reshape(-1, file[name].shape[-1]))
    whole = {name: np.concatenate(part) for name, part in parts.items()}
    return (
        {k: v for k, v in whole.items() if k not in KEPT},
        {k: v for k, v in whole.items() if k in KEPT},
    )


def task_rewards(task: Task, kept: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Reward -(parts of the goal not reached) and success of each state, by OGBench's own rule: (N,) each."""
    import gymnasium
    import ogbench.manipspace  # noqa: F401  registers the environments
    from ogbench.relabel_utils import relabel_dataset

    dataset = dict(kept)
    relabel_dataset(task.environment, gymnasium.make(task.environment), dataset)
    return dataset['rewards'], dataset['masks'] == 0
