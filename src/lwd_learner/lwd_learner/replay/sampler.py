"""Batches of transitions: an exact offline:online mix, uniform over tasks, deterministic under a seed, resumable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lwd_learner.replay.adaptive import AdaptiveConfig, AdaptiveShare
from lwd_learner.replay.filters import Predicate, RowView, everything
from lwd_learner.replay.growable import GrowableArray
from lwd_learner.replay.layout import DATASETS, ReplayError
from lwd_learner.replay.replay import Replay, Rows
from lwd_learner.replay.transitions import Batch, Transitions


@dataclass(frozen=True, slots=True)
class SamplerConfig:
    """What batches are drawn, and how."""

    batch_size: int = 256
    """Transitions of a batch."""
    horizon: int = 16
    """H, steps of a chunk."""
    n_step: int = 1
    """Chunks between an observation and its bootstrap: 1 online and on short tasks, 10 on long ones offline."""
    gamma: float = 0.9999
    """Discount per control step at 30 Hz; .99 suits tasks of some seconds."""
    online_share: float = 0.0
    """Share of online transitions, exact over batches; all from one data set while the other has none."""
    seed: int = 0
    """Of the draws."""
    adaptive: AdaptiveConfig | None = None
    """Let each task's online share follow the losses given to `report`, from `online_share` on; None keeps it."""

    def __post_init__(self) -> None:
        if self.batch_size < 1 or not 0.0 <= self.online_share <= 1.0:
            raise ReplayError(
                f'batch_size {self.batch_size}, online_share {self.online_share}: need >= 1, in [0, 1]'
            )


class _Candidates:
    """Start rows of one data set, apart by task."""

    def __init__(self) -> None:
        self.rows_seen = 0
        self.by_task: dict[str, GrowableArray[np.int64]] = {}

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.by_task.values())

    def draw(self, rng: np.random.Generator, size: int) -> Rows:
        """`size` rows: a task uniformly, then one of its rows uniformly."""
        tasks = sorted(self.by_task)  # by name: the numbers depend on who opened the replay when
        lengths = np.array([len(self.by_task[task]) for task in tasks])
        task = rng.integers(len(tasks), size=size)
        pick = (rng.random(size) * lengths[task]).astype(np.int64)
        out = np.empty(size, np.int64)
        for i, name in enumerate(tasks):
            where = task == i
            out[where] = self.by_task[name].data[pick[where]]
        return out

    def draw_of(self, rng: np.random.Generator, task: str, size: int) -> Rows:
        """`size` rows of one task, uniformly."""
        rows = self.by_task[task].data
        return rows[(rng.random(size) * len(rows)).astype(np.int64)]


class Sampler:
    """Draws batches from the rows that were there at the last `refresh`."""

    def __init__(
        self, replay: Replay, config: SamplerConfig | None = None, where: Predicate = everything
    ) -> None:
        """Sample from `replay` the transitions whose start row `where` accepts."""
        self.replay = replay
        self.config = config or SamplerConfig()
        self._where = where
        self._transitions = Transitions(
            replay, self.config.horizon, self.config.n_step, self.config.gamma
        )
        self._rng = np.random.Generator(np.random.PCG64(self.config.seed))
        self._owed: dict[str, float] = {}  # online transitions owed by rounding, in (-1, 1)
        adaptive = self.config.adaptive
        self.shares = AdaptiveShare(adaptive, self.config.online_share) if adaptive else None
        self._candidates = {name: _Candidates() for name in DATASETS}
        self._amended = replay.amended
        self.refresh()

    def refresh(self) -> int:
        """Take in the rows that the replay's index has gained; answers the new start rows."""
        with self.replay.verdicts:
            self._follow_amendments()
            return sum(self._take(name, len(self.replay.index(name))) for name in DATASETS)

    def _follow_amendments(self) -> None:
        """Choose the start rows anew where verdicts changed: filters and last rows may say otherwise."""
        if self._amended != self.replay.amended:
            self._amended = self.replay.amended
            self._choose({name: c.rows_seen for name, c in self._candidates.items()})

    def _choose(self, until: dict[str, int]) -> None:
        self._candidates = {name: _Candidates() for name in DATASETS}
        for name, rows in until.items():
            self._take(name, rows)

    def _take(self, name: str, until: int) -> int:
        candidates = self._candidates[name]
        if until <= candidates.rows_seen:
            return 0
        index = self.replay.index(name)
        starts = self._transitions.starts(name, candidates.rows_seen)
        starts = starts[starts < until]
        starts = starts[self._where(RowView.of(index, starts))]
        tasks = index.task.data[starts]
        for task in np.unique(tasks).tolist():
            of_task = candidates.by_task.setdefault(
                self.replay.tasks[task], GrowableArray(np.int64)
            )
            of_task.extend(starts[tasks == task])
        candidates.rows_seen = until
        return len(starts)

    def size(self, dataset: str) -> int:
        """Start rows that may be drawn from one data set."""
        return len(self._candidates[dataset])

    def start_rows(self, dataset: str) -> Rows:
        """Global ids of all start rows of one data set, ascending."""
        parts = [rows.data for rows in self._candidates[dataset].by_task.values()]
        rows: npt.NDArray[np.int64] = (
            np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)
        )
        return self.replay.global_rows(dataset, rows)

    def sample(self, batch_size: int | None = None) -> Batch:
        """The next batch: offline transitions first, then online ones.

        Raises:
            ReplayError: no data set has a start row (nothing ingested, or the predicate accepts nothing).
        """
        with self.replay.verdicts:
            size = self.config.batch_size if batch_size is None else batch_size
            return self.read(self.draw(size))

    def draw(self, size: int) -> Rows:
        """Global start rows of the next batch; `read` makes transitions of them.

        Hold `replay.verdicts` over both where another thread refreshes the replay, as `sample` does.
        """
        self._follow_amendments()
        have = [len(self._candidates[name]) > 0 for name in DATASETS]
        if not any(have):
            raise ReplayError(
                f'nothing to sample in {self.replay.uri}: {len(self.replay)} rows, none accepted; '
                'ingest episodes and call refresh, or widen the filter'
            )
        if self.shares is not None:
            parts = self._draw_adaptive(size, self.shares)
        else:
            online = (
                self._online('', size, self.config.online_share) if all(have) else size * have[1]
            )
            parts = []
            for name, count in zip(DATASETS, (size - online, online), strict=True):
                if count:
                    rows = self._candidates[name].draw(self._rng, count)
                    parts.append(self.replay.global_rows(name, rows))
        return np.concatenate(parts)

    def _draw_adaptive(self, size: int, shares: AdaptiveShare) -> list[Rows]:
        """A task uniformly over those of both data sets, then online or offline by its share."""
        tasks = sorted({task for c in self._candidates.values() for task in c.by_task})
        counts = np.bincount(self._rng.integers(len(tasks), size=size), minlength=len(tasks))
        parts: dict[str, list[Rows]] = {name: [] for name in DATASETS}
        for task, count in zip(tasks, counts.tolist(), strict=True):
            has = [task in self._candidates[name].by_task for name in DATASETS]
            online = self._online(task, count, shares.share(task)) if all(has) else count * has[1]
            for name, some in zip(DATASETS, (count - online, online), strict=True):
                if some:
                    rows = self._candidates[name].draw_of(self._rng, task, some)
                    parts[name].append(self.replay.global_rows(name, rows))
        return parts['offline'] + parts['online']

    def report(self, batch: Batch, loss: npt.NDArray[np.floating[Any]]) -> None:
        """Tell the adaptive mix the loss of each transition of a batch, (B,); without it nothing happens."""
        if self.shares is None:
            return
        for task in np.unique(batch.task_id).tolist():
            for number in (0, 1):
                of = loss[(batch.task_id == task) & (batch.dataset == number)]
                if len(of):
                    self.shares.report(
                        self.replay.tasks[task], online=number == 1, loss=float(of.mean())
                    )

    def any_start(self) -> Rows:
        """One global start row, not drawn: to learn the shape of what is there.

        Raises:
            ReplayError: there is none.
        """
        for name in DATASETS:
            for rows in self._candidates[name].by_task.values():
                if len(rows):
                    return self.replay.global_rows(name, rows.data[:1])
        raise ReplayError(f'nothing to sample in {self.replay.uri}; ingest episodes first')

    def read(self, starts: Rows) -> Batch:
        """The transitions that start at these global rows."""
        return self._transitions.read(starts)

    def _online(self, whose: str, size: int, share: float) -> int:
        """How many of `size` are online; what rounding owes is settled in later batches."""
        wanted = share * size + self._owed.get(whose, 0.0)
        online = min(max(int(np.floor(wanted + 0.5)), 0), size)
        self._owed[whose] = min(max(wanted - online, -1.0), 1.0)
        return online

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to draw the same batches again from the same replay."""
        return {
            'seed': self.config.seed,
            'rng': self._rng.bit_generator.state,
            'owed': dict(self._owed),
            'shares': self.shares.state_dict() if self.shares else {},
            'rows': {name: c.rows_seen for name, c in self._candidates.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken; rows that came later wait for the next `refresh`.

        Verdicts that were amended since are followed at once: open the replay at its snapshot of then to draw the same.

        Raises:
            ReplayError: the replay holds fewer rows than it did then.
        """
        for name, rows in state['rows'].items():
            if rows > len(self.replay.index(name)):
                raise ReplayError(
                    f'{self.replay.uri}: {name} has {len(self.replay.index(name))} rows, the sampler had seen {rows}; '
                    'refresh the replay, or start the sampler anew'
                )
        if any(rows != self._candidates[name].rows_seen for name, rows in state['rows'].items()):
            self._choose(state['rows'])
        self._rng.bit_generator.state = state['rng']
        self._owed = dict(state['owed'])
        if self.shares is not None:
            self.shares.load_state_dict(state['shares'])
