"""``python -m bench.ogbench.train FAMILY``: offline QAM or DIVL + QAM on one task.

A run that was stopped goes on from its last checkpoint as if it had not been: same batches, same noise, same results.
With more --updates a finished run goes on too.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from lwd_learner.algorithms.divl import DivlConfig
from lwd_learner.evaluation.wilson import wilson
from lwd_learner.heap import keep_freed
from lwd_learner.state_learner.qam_update import StateQam, StateQamConfig
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.ogbench.chunks import Chunks
from bench.ogbench.collect import Family
from bench.ogbench.data import load_steps
from bench.ogbench.evaluation import Evaluator
from bench.ogbench.place import data_folder, root
from bench.ogbench.run_folder import Checkpoint, RunFolder
from bench.ogbench.tasks import TASKS

SIZES = {'public': (10, 512), 'small': (2, 256)}
"""Critics and width; four hidden layers both. `public` is the public code's; `small` costs a fifth of it."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Train one agent on one task; the defaults are the public code's."""

    family: Annotated[Family, tyro.conf.Positional]
    """Scene; each has one task (see tasks.py)."""
    method: Literal['qam', 'divl'] = 'qam'
    """Critic's backup: the policy's next action (QAM), or DIVL's value of replay actions."""
    size: Literal['public', 'small'] = 'public'
    """Networks: 10 critics of 512x4, or 2 of 256x4."""
    updates: int = 1_000_000
    """Updates in all."""
    transitions: int = 1_000_000
    """Of the data, from the first on; all of the last file that is needed."""
    seed: int = 0
    """Of weights, batches and noise."""
    horizon: int = 5
    """H, actions of a chunk."""
    n: int = 1
    """Chunks of a target's window."""
    gamma: float = 0.99
    """Discount of one step."""
    batch: int = 256
    """Chunks of a batch."""
    tau_base: float = 0.6
    """DIVL's quantile level of a certain V."""
    quantile: Literal['interpolated', 'first_atom'] = 'interpolated'
    """DIVL's quantile between atoms or, as the paper, at one."""
    precision: Literal['float32', 'bfloat16'] = 'bfloat16'
    """Of the hidden layers' products."""
    threads: int = 1
    """torch's threads."""
    log_every: int = 500
    """Updates between two lines of means."""
    save_every: int = 1000
    """Updates between two checkpoints, a multiple of log_every."""
    evaluate_every: int = 10_000
    """Updates between two evaluations, a multiple of save_every; the last update is always followed by one."""
    clone_every: int = 50_000
    """Updates between two evaluations of the reference, the clone of all data: what QAM must beat."""
    episodes: int = 50
    """Of an evaluation."""
    folder: Path | None = None
    """By default runs/ogbench/runs/FAMILY-METHOD-SIZE-seedSEED, METHOD with its tau for divl."""

    def __post_init__(self) -> None:
        """Refuse intervals that would make a resumed run's lines differ."""
        for name, value, unit, part in (
            ('updates', self.updates, 'save_every', self.save_every),
            ('clone_every', self.clone_every, 'save_every', self.save_every),
            ('evaluate_every', self.evaluate_every, 'save_every', self.save_every),
            ('save_every', self.save_every, 'log_every', self.log_every),
        ):
            if value % part:
                raise ValueError(f'{name} {value} must be a multiple of {unit}, {part}')


def main() -> None:
    """Train until `updates`."""
    config = tyro.cli(TrainConfig, prog='train', description=__doc__)
    folder = config.folder or root() / 'runs' / name_of(config)
    record = {k: v for k, v in asdict(config).items() if k not in ('updates', 'folder', 'threads')}
    run = RunFolder(folder, record)
    keep_freed()
    torch.set_num_threads(config.threads)
    task = TASKS[config.family]
    steps = load_steps(data_folder(config.family), config.transitions, task)
    chunks = Chunks(steps, config.horizon, config.n, config.gamma)
    widths = (steps.observation.shape[1], steps.action.shape[1] * config.horizon)
    agent = StateQam(agent_config(config, *widths), config.seed)
    Training(config, run, agent, chunks, Evaluator(task, config.horizon)).go_on()


def name_of(config: TrainConfig) -> str:
    """A folder for each combination of what the report compares."""
    method: str = config.method
    if method == 'divl':
        method += f'-{config.tau_base}' + ('-first_atom' * (config.quantile == 'first_atom'))
    if config.n > 1:
        method += f'-n{config.n}'
    return f'{config.family}-{method}-{config.size}-seed{config.seed}'


def agent_config(config: TrainConfig, observation: int, action: int) -> StateQamConfig:
    """The learner's settings for a task."""
    task = TASKS[config.family]
    members, hidden = SIZES[config.size]
    return StateQamConfig(
        observation,
        action,
        hidden=hidden,
        members=members,
        temperature=1 / task.inverse_temperature,
        backup='divl' if config.method == 'divl' else 'policy',
        precision=config.precision,
        divl=DivlConfig(
            v_min=task.v_min, v_max=0.0, tau_base=config.tau_base, quantile=config.quantile
        ),
    )


class Training:
    """One run."""

    def __init__(
        self,
        config: TrainConfig,
        run: RunFolder,
        agent: StateQam,
        chunks: Chunks,
        evaluator: Evaluator,
    ) -> None:
        """Go back to the last checkpoint."""
        self._config, self._run, self._agent = config, run, agent
        self._chunks, self._evaluator = chunks, evaluator
        self._at = Checkpoint(0, 0.0, 0.0, {})
        found = run.load()
        if found is not None:
            agent.restore(found.tensors)
            self._at = replace(found, tensors={})

    def go_on(self) -> None:
        """Do the updates that are left."""
        c = self._config
        columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeRemainingColumn(), refresh_per_second=1) as bar:
            task = bar.add_task(self._run.folder.name, total=c.updates, completed=self._at.update)
            while self._at.update < c.updates:
                self._block(c.log_every)
                bar.update(task, completed=self._at.update)

    def _block(self, count: int) -> None:
        """`count` updates, and what is due behind them."""
        c, wall, cpu, first = self._config, time.monotonic(), time.process_time(), self._at.update
        totals: dict[str, float] = defaultdict(float)
        for update in range(first, first + count):
            batch = self._chunks.batch(c.batch, c.seed, update)
            for key, value in self._agent.update(batch).items():
                totals[key] += value / count
        update = first + count
        self._at = Checkpoint(
            update,
            self._at.wall_s + time.monotonic() - wall,
            self._at.cpu_s + time.process_time() - cpu,
            {},
        )
        self._add('training', skipped=self._agent.skipped, **totals)
        end = update == c.updates
        if end or update % c.evaluate_every == 0:
            self._evaluate('flow')
        if end or update % c.clone_every == 0:
            self._evaluate('reference')
        if update % c.save_every == 0:
            self._run.save(replace(self._at, tensors=self._agent.state()))

    def _evaluate(self, policy: Literal['flow', 'reference']) -> None:
        began = time.monotonic()
        result = self._evaluator.run(self._agent, self._config.episodes, policy)
        low, high = wilson(result.successes, result.episodes)
        self._add(
            'evaluation',
            policy=policy,
            **asdict(result),
            low=low,
            high=high,
            evaluation_s=time.monotonic() - began,
        )

    def _add(self, kind: str, **values: Any) -> None:
        at = self._at
        line = {'kind': kind, 'update': at.update, 'wall_s': at.wall_s, 'cpu_s': at.cpu_s}
        self._run.add(line | values)


if __name__ == '__main__':
    main()
