"""Evaluations of a run: the checkpoint of each stage, and the best of n by Q where one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from lwd_policy_node.profile import load_profile
from lwd_sim.rendering.gl_backend import RenderingUnavailableError, check_opengl
from lwd_sim.tasks import refuse_unknown
from lwd_sim.world import check_rates

from lwd_learner.evaluation import Evaluator, Result
from lwd_learner.training.config import TrainConfig


class Due(NamedTuple):
    """One evaluation that is to be made."""

    name: str
    """Of the result."""
    folder: Path
    """Checkpoint."""
    best_of: int
    """Samples per plan."""


class StageEvaluation:
    """Evaluates in processes of its own, which are started when first needed."""

    def __init__(self, config: TrainConfig) -> None:
        """Nothing is started.

        Raises:
            ValueError: a task to be evaluated is none of the simulator's, the profile has a rate that cannot be
                simulated, or there is no OpenGL here.
        """
        if config.eval_episodes:
            try:
                _check(config)
            except (ValueError, RenderingUnavailableError) as error:
                raise ValueError(f'{error}; --eval-episodes 0 leaves evaluation out') from error
        self._config = config
        self._evaluator: Evaluator | None = None

    def close(self) -> None:
        """End the processes."""
        if self._evaluator is not None:
            self._evaluator.close()

    def due(self, stage: str, done: Collection[str]) -> Iterator[Due]:
        """What is to be evaluated of a stage and was not yet."""
        config, folder = self._config, self._config.run_dir / 'checkpoints' / stage
        if config.eval_episodes == 0 or not (folder / 'policy.safetensors').exists():
            return
        n = config.eval_best_of
        has_q = stage != 'sft' and config.method.values
        asked = [Due(stage, folder, 1)]
        asked += [Due(f'{stage}, best of {n}', folder, n)] if n > 1 and has_q else []
        yield from (each for each in asked if each.name not in done)

    def run(self, due: Due, meanwhile: Callable[[], bool]) -> Result | None:
        """Evaluate; `meanwhile` is called until it is over, and ends it early with True: then the answer is None."""
        if self._evaluator is None:
            self._evaluator = Evaluator(self._config.profile, self._config.eval_workers)
        futures = self._evaluator.submit(
            due.folder / 'policy.safetensors',
            tasks=self._config.tasks,
            episodes=self._config.eval_episodes,
            critic=due.folder / 'learner.safetensors' if due.best_of > 1 else None,
            best_of=due.best_of,
        )
        while not all(future.done() for future in futures):
            if meanwhile():
                for future in futures:
                    future.cancel()
                return None
        return Evaluator.gather(futures)


def _check(config: TrainConfig) -> None:
    refuse_unknown(config.tasks)
    check_rates(load_profile(config.profile))
    check_opengl()
