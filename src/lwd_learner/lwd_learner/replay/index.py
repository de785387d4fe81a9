"""The in-memory index of one data set: low-dimensional columns, episodes and segments. No image bytes.

Rows are numbered in the order of the data set; nothing is ever reordered, so a row's number holds for good (compaction
keeps the order). Appending costs in proportion to what is appended, never to what is there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lwd_learner.replay.growable import GrowableArray
from lwd_learner.replay.layout import ReplayLayout
from lwd_learner.replay.low_dimensional import COLUMNS, Column, LowDimensional, ReadRows
from lwd_learner.replay.segments import CUT, ending_of, segment_rows

STRUCTURE_COLUMNS = ('t', 'stamp_s', 'source', 'policy_version', 'new_images')
INDEX_COLUMNS = (*STRUCTURE_COLUMNS, *COLUMNS)
FACT_COLUMNS = (
    'episode_id',
    'robot',
    'task',
    'instruction',
    'kind',
    'outcome',
    'seed',
    'label_names',
)
_DATE_COLUMN = 'ended_wall_s'


_EPISODES_AT_ONCE = 256
"""Bounds what building an index holds besides the index."""


def fact_columns(layout: ReplayLayout) -> list[str]:
    """The columns from which an episode's facts are read; schema 1 knew no dates."""
    return [*FACT_COLUMNS, *([_DATE_COLUMN] if layout.schema >= 2 else [])]


class Vocabulary:
    """Strings numbered in order of first appearance, shared by both data sets of a replay."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._codes: dict[str, int] = {}

    def code(self, word: str) -> int:
        """The number of a word, new if unseen."""
        if word not in self._codes:
            self._codes[word] = len(self.words)
            self.words.append(word)
        return self._codes[word]


@dataclass(frozen=True, slots=True)
class EpisodeFacts:
    """What the replay knows of one episode; its rows are start <= row < stop."""

    episode_id: str
    robot_id: str
    task: str
    instruction: str
    kind: str
    outcome: str
    seed: int
    start: int
    stop: int
    label_names: tuple[str, ...]
    ended_wall_s: float = 0.0
    """Wall clock when it ended, s since the epoch; 0 where it is not known."""
    policy_version: int = 0
    """Newest weights that acted in it; 0 if none did."""
    pruned: bool = False
    """Taken out by a person or a policy (amendments.py): nothing starts in it."""

    @property
    def won(self) -> bool:
        """It ended in success; play never does."""
        return self.outcome == 'success' and self.kind != 'play'


class FrameIndex:
    """Columns of all rows of one data set, as growing numpy arrays (read `.data`)."""

    def __init__(
        self,
        layout: ReplayLayout,
        tasks: Vocabulary,
        instructions: Vocabulary,
        read: ReadRows,
        keep_rows: bool = True,
    ) -> None:
        """Begin empty.

        Args:
            layout: names and sizes of the columns.
            tasks: of all data sets.
            instructions: of all data sets.
            read: fetches low-dimensional columns once they are too many for memory.
            keep_rows: False: only the episodes are kept, for a process that writes and never samples.
        """
        self._layout = layout
        self._tasks = tasks
        self._instructions = instructions
        self._keep_rows = keep_rows
        self._rows = 0
        cameras = len(layout.cameras)
        self.low = LowDimensional(len(layout.state_columns), len(layout.joint_names), read)
        self.state = Column(self.low, 'state')
        self.action = Column(self.low, 'action')
        self.label = Column(self.low, 'label')
        self.stamp_s = GrowableArray(np.float64)
        self.source = GrowableArray(np.uint8)
        self.policy_version = GrowableArray(np.int64)
        self.episode = GrowableArray(np.int32)
        """Number of the row's episode in `episodes`."""
        self.limit = GrowableArray(np.int64)
        """Last row that the steps beginning here may bootstrap from (segments.py)."""
        self.ending = GrowableArray(np.uint8)
        """CUT, FAILURE or SUCCESS at `limit`."""
        self.image_row = GrowableArray(np.int64)
        """Newest row at or before this one that brought any new frame; -1 until every camera was seen."""
        self.camera_row = GrowableArray(np.int64, (cameras,))
        """Per camera, the row that holds the newest frame at or before this row; -1 if none yet."""
        self.new_image = GrowableArray(np.bool_)
        """A new frame arrived in this row and every camera was seen: a transition may start here."""
        self.task = GrowableArray(np.int32)
        self.instruction = GrowableArray(np.int32)
        self.success = GrowableArray(np.bool_)
        """The row's episode ended in success (play never does)."""
        self.episodes: list[EpisodeFacts] = []
        self.by_id: dict[str, int] = {}

    def __len__(self) -> int:
        return self._rows

    def extend(self, rows: pa.Table, facts: pa.Table) -> None:
        """Take whole episodes: `rows` has INDEX_COLUMNS, or STRUCTURE_COLUMNS where the others are not kept in memory;
        `facts` has `fact_columns` of the rows where t = 0.
        """
        starts = np.flatnonzero(rows['t'].to_numpy() == 0)
        for array in vars(self).values():
            if isinstance(array, GrowableArray) and self._keep_rows:
                array.reserve(rows.num_rows)
        for first in range(0, len(starts), _EPISODES_AT_ONCE):
            some = slice(first, first + _EPISODES_AT_ONCE)
            start = int(starts[first])
            stop = int(starts[some.stop]) if some.stop < len(starts) else rows.num_rows
            self._extend(rows.slice(start, stop - start), facts.slice(first, _EPISODES_AT_ONCE))

    def _extend(self, rows: pa.Table, facts: pa.Table) -> None:
        first, count = len(self), rows.num_rows
        starts = np.flatnonzero(rows['t'].to_numpy() == 0)
        stops = np.append(starts[1:], count)
        policy_version = rows['policy_version'].to_numpy()
        newest = np.maximum.reduceat(policy_version, starts)
        added = [
            _facts(fact, first + start, first + stop, version)
            for fact, start, stop, version in zip(
                facts.to_pylist(), starts.tolist(), stops.tolist(), newest.tolist(), strict=True
            )
        ]
        if self._keep_rows:
            self._extend_rows(rows, starts, stops, added)
        for episode in added:
            self.by_id[episode.episode_id] = len(self.episodes)
            self.episodes.append(episode)
        self._rows += count  # last: it is the index's length

    def _extend_rows(
        self,
        rows: pa.Table,
        starts: npt.NDArray[np.int64],
        stops: npt.NDArray[np.int64],
        added: list[EpisodeFacts],
    ) -> None:
        first, count, lengths = len(self), rows.num_rows, stops - starts
        stamp_s, source = rows['stamp_s'].to_numpy(), rows['source'].to_numpy()
        endings = np.array([ending_of(e.kind, e.outcome) for e in added], np.uint8)
        limit, ending = segment_rows(stamp_s, source, self._layout.period_s, stops, endings)
        row = np.arange(count)
        images = _unpack(rows['new_images'].to_numpy(), len(self._layout.cameras))
        held = np.maximum.accumulate(np.where(images, row[:, None], -1), axis=0)
        held[held < np.repeat(starts, lengths)[:, None]] = -1  # of the episode before
        seen = (held >= 0).all(axis=1)
        image_row = np.where(seen, held.max(axis=1), -1)
        self.limit.extend(limit + first)
        self.ending.extend(ending)
        self.new_image.extend(image_row == row)
        self.camera_row.extend(np.where(held >= 0, held + first, -1))
        self.image_row.extend(np.where(seen, image_row + first, -1))
        number = np.arange(len(self.episodes), len(self.episodes) + len(added))
        self.episode.extend(np.repeat(number, lengths))
        self.task.extend(np.repeat([self._tasks.code(e.task) for e in added], lengths))
        self.instruction.extend(
            np.repeat([self._instructions.code(e.instruction) for e in added], lengths)
        )
        self.success.extend(np.repeat([e.won for e in added], lengths))
        self.source.extend(source)
        self.policy_version.extend(rows['policy_version'].to_numpy())
        self.low.widen(max(len(e.label_names) for e in added))
        self.low.extend(rows if 'state' in rows.column_names else None, count)
        self.stamp_s.extend(stamp_s)

    def amend(self, number: int, outcome: str, *, pruned: bool) -> bool:
        """Give episode `number` another verdict, or take it out; answers whether that changed anything.

        Written in place: whoever samples in another thread must be kept out meanwhile (`Replay.verdicts`).
        """
        old = self.episodes[number]
        new = replace(old, outcome=outcome or old.outcome, pruned=pruned)
        if new == old:
            return False
        self.episodes[number] = new
        if not self._keep_rows:
            return True
        rows, count = slice(new.start, new.stop), new.stop - new.start
        limit, ending = segment_rows(
            self.stamp_s.data[rows],
            self.source.data[rows],
            self._layout.period_s,
            np.array([count]),
            np.array([ending_of(new.kind, new.outcome)], np.uint8),
        )
        self.limit.data[rows] = new.start + (np.arange(count) if pruned else limit)
        self.ending.data[rows] = CUT if pruned else ending
        self.success.data[rows] = new.won and not pruned
        if pruned:
            self.new_image.data[rows] = False
        return True


def _facts(fact: dict[str, object], start: int, stop: int, policy_version: int) -> EpisodeFacts:
    names = fact['label_names']
    return EpisodeFacts(
        episode_id=str(fact['episode_id']),
        robot_id=str(fact['robot']),
        task=str(fact['task']),
        instruction=str(fact['instruction']),
        kind=str(fact['kind']),
        outcome=str(fact['outcome']),
        seed=int(str(fact['seed'])),
        start=start,
        stop=stop,
        label_names=tuple(names) if isinstance(names, list) else (),
        ended_wall_s=float(str(fact.get(_DATE_COLUMN) or 0.0)),
        policy_version=policy_version,
    )


def _unpack(bits: npt.NDArray[np.uint8], cameras: int) -> npt.NDArray[np.bool_]:
    return (bits[:, None] >> np.arange(cameras, dtype=np.uint8) & 1).astype(np.bool_)
