"""In which order what is done, so that whole comparisons stand early, and what is left."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from bench.methods.config import CompareConfig
from bench.methods.entries import ENTRIES

Key = tuple[str, str, int, int]
"""(task, method, seed, round)."""


@dataclass(frozen=True, slots=True)
class Job:
    """One line of the results."""

    task: str
    method: str
    seed: int
    round: int
    """0: after the offline stage; then the online rounds."""

    @property
    def key(self) -> Key:
        """What names its line."""
        return self.task, self.method, self.seed, self.round


def jobs(config: CompareConfig) -> Iterator[Job]:
    """All jobs: by seed, then task; there all methods offline first, then round by round.

    Raises:
        ValueError: an unknown method, or a best-of-n without the entries it needs.
    """
    for name in config.methods:
        if name not in ENTRIES:
            raise ValueError(f'method {name!r} is not one of {", ".join(ENTRIES)}')
        entry = ENTRIES[name]
        before = config.methods[: config.methods.index(name)]
        for needed in (entry.policy_of, entry.critic_of):
            if needed and needed not in before:
                raise ValueError(f'{name!r} needs {needed!r} before it in methods')
    for seed in config.seeds:
        for task in config.tasks:
            for round_ in range(1 if config.offline_only else config.rounds + 1):
                for name in config.methods:
                    job = Job(task, name, seed, round_)
                    if _exists(config, job):
                        yield job


def _exists(config: CompareConfig, job: Job) -> bool:
    entry = ENTRIES[job.method]
    if entry.best_of > 1 and not evaluated(config, job):  # it has nothing else to do
        return False
    return job.round == 0 or ENTRIES[entry.policy_of or job.method].acts_online


def left(config: CompareConfig, done: Collection[Key]) -> list[Job]:
    """Jobs without a line yet, in order."""
    return [job for job in jobs(config) if job.key not in done]


def refuse_overtaken(todo: Collection[Job], done: Collection[Key]) -> None:
    """Refuse to make a policy anew where lines stand that came from the former one.

    Raises:
        ValueError: there is such a line; names it.
    """
    trained: dict[tuple[str, str, int], int] = {}
    for job in todo:
        if ENTRIES[job.method].best_of == 1:
            trained.setdefault((job.task, job.method, job.seed), job.round)
    for task, method, seed, round_ in sorted(key for key in done if key[1] in ENTRIES):
        entry = ENTRIES[method]
        for source in (method, entry.policy_of, entry.critic_of):
            first = trained.get((task, source, seed))
            if first is not None and round_ >= first:
                raise ValueError(
                    f'{task}, seed {seed}: {method!r} has a line for round {round_}, but {source!r}, which it comes '
                    f'from, has none for round {first} and would be trained anew. Remove that line, too: it is of '
                    'another policy'
                )


def evaluated(config: CompareConfig, job: Job) -> bool:
    """Whether a job's policy is evaluated; not where it still is SFT's, and SFT has its own line."""
    if job.round == 0:
        return job.method == 'sft' or ENTRIES[job.method].moves_offline
    return config.test_every_round or job.round == config.rounds
