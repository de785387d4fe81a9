"""``python -m bench.methods.confirm``: evaluate a comparison's policies again, on scenes that nothing was chosen by.

Whoever compares often enough on the same scenes chooses by them. What stands here was looked at once.
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro
from lwd_learner.evaluation import EvaluationError, Evaluator

from bench.methods.checkpoints import Actor, actor_of
from bench.methods.config import CompareConfig, default_folder
from bench.methods.entries import ENTRIES, METHOD_NAMES
from bench.methods.queue import Job
from bench.methods.results import CONFIRMED, Kinship, Results, key_of, kinship

log = logging.getLogger('confirm')


@dataclass(frozen=True, slots=True)
class ConfirmConfig:
    """Evaluate on other scenes; what was evaluated already is not done again."""

    folder: Path = field(default_factory=default_folder)
    """Of the comparison; its checkpoints are needed."""
    methods: tuple[str, ...] = (*METHOD_NAMES, 'filtered_bc, best of 8')
    """Names from entries.py; those without results are left out."""
    rounds: tuple[int, ...] = ()
    """Only these; all if none is named."""
    seed0: int = 900_000_000
    """First scene seed."""
    episodes: int = 100
    """The same scenes for all."""
    workers: int = 1
    """Processes."""


def main() -> None:
    """Evaluate; exit 1 on a named error."""
    config = tyro.cli(ConfirmConfig, prog='confirm', description=__doc__)
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    profile = Results(config.folder).settings().get('profile', CompareConfig.profile)
    try:
        with Evaluator(profile, config.workers) as evaluator:
            confirm(config, evaluator)
    except (EvaluationError, OSError, ValueError) as error:
        print(f'confirm: {error}', file=sys.stderr)
        sys.exit(1)


def confirm(config: ConfirmConfig, evaluator: Evaluator) -> None:
    """Add a line to confirmed.jsonl for every evaluated line of the comparison that has none yet.

    Raises:
        ValueError: an unknown method, a checkpoint that is missing or not that of its line, or confirmed.jsonl is of
            other scenes or policies.
    """
    unknown = [name for name in config.methods if name not in ENTRIES]
    if unknown:
        raise ValueError(f'method {unknown[0]!r} is not one of {", ".join(ENTRIES)}')
    confirmed = Results(config.folder, CONFIRMED)
    scenes = [config.seed0, config.seed0 + config.episodes - 1]
    for line in confirmed.lines():
        if line['test']['seeds'] != scenes:
            raise ValueError(
                f'{config.folder / CONFIRMED} is of scenes {line["test"]["seeds"]}, not {scenes}: give the same '
                '--seed0 and --episodes, or move the file away'
            )
    evaluated = {key_of(line): line for line in Results(config.folder).lines() if 'test' in line}
    for line in confirmed.lines():
        if kinship(line, evaluated.get(key_of(line), {})) is Kinship.OTHER:
            raise ValueError(
                f'{config.folder / CONFIRMED} has a line of {line["task"]}, {line["method"]!r}, seed {line["seed"]}, '
                f'round {line["round"]} of another policy than results.jsonl, which was trained anew: remove it, and '
                'it is made again'
            )
    todo = _todo(config, confirmed)
    for number, job in enumerate(todo, 1):
        began_s = time.monotonic()
        line = {'task': job.task, 'method': job.method, 'seed': job.seed, 'round': job.round}
        actor = _actor(config, job, evaluated[job.key])
        line |= actor.digests()
        test = _test(evaluator, config, job, actor)
        confirmed.add(line | {'test': test, 'wall_s': round(time.monotonic() - began_s, 1)})
        log.info(
            '%d of %d: %s seed %d round %d %s: %d/%d',
            *(number, len(todo), job.task, job.seed, job.round, job.method, test['k'], test['n']),
        )


def _todo(config: ConfirmConfig, confirmed: Results) -> list[Job]:
    """By seed, then task, so that whole comparisons stand early."""
    done = confirmed.done()
    jobs = [
        Job(line['task'], line['method'], line['seed'], line['round'])
        for line in Results(config.folder).lines()
        if 'test' in line
        and line['method'] in config.methods
        and line['round'] in (config.rounds or (line['round'],))
    ]
    left = [job for job in jobs if job.key not in done]
    return sorted(left, key=lambda job: (job.seed, job.task, job.round, job.method))


def _actor(config: ConfirmConfig, job: Job, line: dict[str, Any]) -> Actor:
    """The files of an evaluated line, which must be the ones that it was evaluated with, if it says so."""
    actor = actor_of(config.folder, job)
    for path in (actor.policy, actor.critic):
        if path is not None and not path.exists():
            raise ValueError(f'{path} is missing: {job.method} cannot act without it')
    if kinship(actor.digests(), line) is Kinship.OTHER:
        critic = f' with the critic {actor.critic}' if actor.critic else ''
        raise ValueError(
            f'{actor.policy}{critic} is not the one that results.jsonl has evaluated as {job.method!r}: remove its '
            'line there, and let bench.methods.run evaluate it'
        )
    return actor


def _test(evaluator: Evaluator, config: ConfirmConfig, job: Job, actor: Actor) -> dict[str, Any]:
    futures = evaluator.submit(
        actor.policy,
        tasks=(job.task,),
        episodes=config.episodes,
        seed0=config.seed0,
        critic=actor.critic,
        best_of=actor.best_of,
    )
    return Evaluator.gather(futures).summary()


if __name__ == '__main__':
    main()
