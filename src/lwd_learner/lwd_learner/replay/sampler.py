"""Batches of transitions: an exact offline:online mix, uniform over tasks, deterministic under a seed, resumable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

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
        self._owed = 0.0  # online transitions owed by rounding, in (-1, 1)
        self._candidates = {name: _Candidates() for name in DATASETS}
        self.refresh()

    def refresh(self) -> int:
        """Take in the rows that the replay's index has gained; answers the new start rows."""
        return sum(self._take(name, len(self.replay.index(name))) for name in DATASETS)

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
        return self.read(self.draw(self.config.batch_size if batch_size is None else batch_size))

    def draw(self, size: int) -> Rows:
        """Global start rows of the next batch; `read` makes transitions of them."""
        online = self._online(size)
        parts = []
        for name, count in zip(DATASETS, (size - online, online), strict=True):
            if count:
                rows = self._candidates[name].draw(self._rng, count)
                parts.append(self.replay.global_rows(name, rows))
        return np.concatenate(parts)

    def read(self, starts: Rows) -> Batch:
        """The transitions that start at these global rows."""
        return self._transitions.read(starts)

    def _online(self, size: int) -> int:
        have = [len(self._candidates[name]) > 0 for name in DATASETS]
        if not any(have):
            raise ReplayError(
                f'nothing to sample in {self.replay.uri}: {len(self.replay)} rows, none accepted; '
                'ingest episodes and call refresh, or widen the filter'
            )
        if not all(have):
            return size if have[1] else 0
        share = self.config.online_share * size + self._owed
        online = int(np.floor(share + 0.5))
        self._owed = share - online
        return online

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to draw the same batches again from the same replay."""
        return {
            'seed': self.config.seed,
            'rng': self._rng.bit_generator.state,
            'owed': self._owed,
            'rows': {name: c.rows_seen for name, c in self._candidates.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken; rows that came later wait for the next `refresh`.

        Raises:
            ReplayError: the replay holds fewer rows than it did then.
        """
        for name, rows in state['rows'].items():
            if rows > len(self.replay.index(name)):
                raise ReplayError(
                    f'{self.replay.uri}: {name} has {len(self.replay.index(name))} rows, the sampler had seen {rows}; '
                    'refresh the replay, or start the sampler anew'
                )
        self._candidates = {name: _Candidates() for name in DATASETS}
        for name, rows in state['rows'].items():
            self._take(name, rows)
        self._rng.bit_generator.state = state['rng']
        self._owed = state['owed']
