"""Success of a checkpoint on fixed seeds, parallel over processes; each process has one world and
one policy.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lwd_policy_node.pool_worker import begin_worker
from lwd_policy_node.profile import load_profile

from lwd_learner.evaluation.rollout import EVALUATION_SEED0, EpisodeResult, run_episode
from lwd_learner.evaluation.wilson import wilson


class EvaluationError(RuntimeError):
    """Evaluation could not run; the message says what failed and the remedy."""


@dataclass(frozen=True, slots=True)
class Result:
    """Success over episodes, with its 95 % interval."""

    n: int
    k: int
    low: float
    high: float
    progress: float
    """Mean share of the task's stages done."""
    cycle_s: float
    """Mean simulated seconds of the successful episodes; 0 without any."""
    seeds: tuple[int, int]
    """First and last scene seed."""
    episodes: tuple[EpisodeResult, ...] = ()

    @property
    def rate(self) -> float:
        """k / n, 0 of no episodes."""
        return self.k / self.n if self.n else 0.0

    @classmethod
    def of(cls, episodes: Sequence[EpisodeResult]) -> Result:
        """Count."""
        won = [e for e in episodes if e.success]
        low, high = wilson(len(won), len(episodes))
        seeds = [e.seed for e in episodes] or [0]
        return cls(
            n=len(episodes),
            k=len(won),
            low=low,
            high=high,
            progress=float(np.mean([e.progress for e in episodes])) if episodes else 0.0,
            cycle_s=float(np.mean([e.duration_s for e in won])) if won else 0.0,
            seeds=(min(seeds), max(seeds)),
            episodes=tuple(episodes),
        )

    def summary(self) -> dict[str, Any]:
        """JSON without the single episodes."""
        return {
            'n': self.n,
            'k': self.k,
            'rate': round(self.rate, 4),
            'low': round(self.low, 4),
            'high': round(self.high, 4),
            'progress': round(self.progress, 4),
            'cycle_s': round(self.cycle_s, 3),
            'seeds': list(self.seeds),
        }

    def __str__(self) -> str:
        return f'{self.k}/{self.n} = {self.rate:.2f} [{self.low:.2f}, {self.high:.2f}]'


_profile = ''
_worker: _Worker | None = None


class _Worker:
    """One process: a world per profile, the policy that was asked for last."""

    def __init__(self, profile: str) -> None:
        os.environ['OMP_NUM_THREADS'] = '1'
        import torch
        from lwd_sim.world import World

        torch.set_num_threads(1)
        self.profile = load_profile(profile)
        self.world = World(self.profile, render=True)
        self.loaded: tuple[str, str, int] | None = None
        self.act: Any = None

    def run(self, job: _Job) -> EpisodeResult:
        wanted = (job.policy, job.critic, job.best_of)
        if self.loaded != wanted:
            from lwd_learner.evaluation.acting import load_actor

            self.act = load_actor(
                Path(job.policy), Path(job.critic) if job.critic else None, job.best_of
            )
            self.loaded = wanted
        return run_episode(
            self.world, self.act, self.profile, job.task, job.seed, job.shift, job.latency_steps
        )


@dataclass(frozen=True, slots=True)
class _Job:
    policy: str
    critic: str
    best_of: int
    task: str
    seed: int
    shift: str
    latency_steps: int


def _start(profile: str) -> None:
    begin_worker()
    global _profile
    _profile = profile


def _run(jobs: Sequence[_Job]) -> list[EpisodeResult]:
    """Begins with the first job: what a pool's initializer raises is not told to who waits for results."""
    global _worker
    if _worker is None:
        _worker = _Worker(_profile)
    return [_worker.run(job) for job in jobs]


class Evaluator:
    """Keeps worker processes for several evaluations; use it in `with`."""

    def __init__(self, profile: str = 'g1_laptop', workers: int = 0) -> None:
        """Start `workers` processes (0: one per available core) when the first job comes.

        Raises:
            ValueError: the profile is none, or has a rate that cannot be simulated.
        """
        from lwd_sim.world import check_rates

        check_rates(load_profile(profile))
        self.workers = workers or len(os.sched_getaffinity(0))
        self._pool = ProcessPoolExecutor(
            self.workers, multiprocessing.get_context('spawn'), _start, (profile,)
        )

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes; jobs that have not begun are dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(
        self,
        policy: Path,
        *,
        tasks: Iterable[str] = ('restock',),
        episodes: int = 100,
        seed0: int = EVALUATION_SEED0,
        shift: str = 'trained',
        latency_steps: int = 1,
        critic: Path | None = None,
        best_of: int = 1,
    ) -> list[Future[list[EpisodeResult]]]:
        """Queue the episodes of one checkpoint, tasks in turn; `gather` makes a result of them."""
        names = list(tasks)
        jobs = [
            _Job(
                str(policy),
                str(critic or ''),
                best_of,
                names[i % len(names)],
                seed0 + i,
                shift,
                latency_steps,
            )
            for i in range(episodes)
        ]
        size = max(1, min(5, episodes // (4 * self.workers) or 1))
        return [self._pool.submit(_run, jobs[i : i + size]) for i in range(0, len(jobs), size)]

    @staticmethod
    def gather(futures: Sequence[Future[list[EpisodeResult]]]) -> Result:
        """Wait for the queued episodes.

        Raises:
            EvaluationError: a worker failed or was killed.
        """
        try:
            return Result.of([episode for future in futures for episode in future.result()])
        except Exception as error:  # whatever a worker raised arrives here, with its own type
            raise EvaluationError(
                f'an evaluation worker failed: {type(error).__name__}: {error}'
            ) from error


def evaluate(
    policy: Path, *, profile: str = 'g1_laptop', workers: int = 0, **options: Any
) -> Result:
    """Evaluate one checkpoint; `options` as in `Evaluator.submit`."""
    with Evaluator(profile, workers) as evaluator:
        return evaluator.gather(evaluator.submit(policy, **options))
