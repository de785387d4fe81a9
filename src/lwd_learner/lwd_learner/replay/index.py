"""The in-memory index of one data set: low-dimensional columns, episodes and segments. No image bytes.

Rows are numbered in the order of the data set; nothing is ever reordered, so a row's number holds for good (compaction
keeps the order). Appending costs in proportion to what is appended, never to what is there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lwd_learner.replay.growable import GrowableArray
from lwd_learner.replay.layout import ReplayLayout
from lwd_learner.replay.segments import ending_of, segment_rows

INDEX_COLUMNS = (
    't',
    'stamp_s',
    'state',
    'action',
    'source',
    'policy_version',
    'label',
    'new_images',
)
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


class FrameIndex:
    """Columns of all rows of one data set, as growing numpy arrays (read `.data`)."""

    def __init__(self, layout: ReplayLayout, tasks: Vocabulary, instructions: Vocabulary) -> None:
        self._layout = layout
        self._tasks = tasks
        self._instructions = instructions
        cameras = len(layout.cameras)
        self.stamp_s = GrowableArray(np.float64)
        self.state = GrowableArray(np.float32, (len(layout.state_columns),))
        self.action = GrowableArray(np.float32, (len(layout.joint_names),))
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
        self.label = GrowableArray(np.float32, (0,))
        self.episodes: list[EpisodeFacts] = []
        self.by_id: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.stamp_s)

    def extend(self, rows: pa.Table, facts: pa.Table) -> None:
        """Take whole episodes: `rows` has INDEX_COLUMNS, `facts` FACT_COLUMNS of the rows where t = 0."""
        if rows.num_rows == 0:
            return
        first = len(self)
        t = rows['t'].to_numpy()
        starts = np.flatnonzero(t == 0)
        stops = np.append(starts[1:], rows.num_rows)
        stamp_s = rows['stamp_s'].to_numpy()
        source = rows['source'].to_numpy()
        images = _unpack(rows['new_images'].to_numpy(), len(self._layout.cameras))
        labels = self._labels(rows['label'])
        columns: list[list[npt.NDArray[np.generic]]] = []
        lengths = stops - starts
        for fact, start, stop in zip(
            facts.to_pylist(), starts.tolist(), stops.tolist(), strict=True
        ):
            columns.append(self._episode(fact, first, start, stop, stamp_s, source, images))
        self.limit.extend(np.concatenate([c[0] for c in columns]))
        self.ending.extend(np.concatenate([c[1] for c in columns]))
        self.camera_row.extend(np.concatenate([c[2] for c in columns]))
        self.image_row.extend(np.concatenate([c[3] for c in columns]))
        self.new_image.extend(np.concatenate([c[4] for c in columns]))
        added = self.episodes[-len(starts) :]
        number = np.arange(len(self.episodes) - len(starts), len(self.episodes))
        self.episode.extend(np.repeat(number, lengths))
        self.task.extend(np.repeat([self._tasks.code(e.task) for e in added], lengths))
        self.instruction.extend(
            np.repeat([self._instructions.code(e.instruction) for e in added], lengths)
        )
        won = [e.outcome == 'success' and e.kind != 'play' for e in added]
        self.success.extend(np.repeat(won, lengths))
        self.label.extend(labels)
        self.source.extend(source)
        self.policy_version.extend(rows['policy_version'].to_numpy())
        self.state.extend(_matrix(rows['state'], len(self._layout.state_columns)))
        self.action.extend(_matrix(rows['action'], len(self._layout.joint_names)))
        self.stamp_s.extend(stamp_s)  # last: its length is the index's

    def _episode(
        self,
        fact: dict[str, object],
        first: int,
        start: int,
        stop: int,
        stamp_s: npt.NDArray[np.float64],
        source: npt.NDArray[np.uint8],
        images: npt.NDArray[np.bool_],
    ) -> list[npt.NDArray[np.generic]]:
        kind, outcome = str(fact['kind']), str(fact['outcome'])
        names = fact['label_names']
        episode = EpisodeFacts(
            episode_id=str(fact['episode_id']),
            robot_id=str(fact['robot']),
            task=str(fact['task']),
            instruction=str(fact['instruction']),
            kind=kind,
            outcome=outcome,
            seed=int(str(fact['seed'])),
            start=first + start,
            stop=first + stop,
            label_names=tuple(names) if isinstance(names, list) else (),
        )
        self.by_id[episode.episode_id] = len(self.episodes)
        self.episodes.append(episode)
        part = slice(start, stop)
        limit, ending = segment_rows(
            stamp_s[part], source[part], self._layout.period_s, ending_of(kind, outcome)
        )
        row = np.arange(first + start, first + stop)
        held = np.maximum.accumulate(np.where(images[part], row[:, None], -1), axis=0)
        seen = (held >= 0).all(axis=1)
        image_row = np.where(seen, held.max(axis=1), -1)
        return [limit + first + start, ending, held, image_row, image_row == row]

    def _labels(self, column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
        """(M, L) with NaN where a row has fewer; widens the stored array when a wider label appears."""
        array = column.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks)
        widths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        width = max(int(widths.max(initial=0)), self.label.data.shape[1])
        if width > self.label.data.shape[1]:
            wider = GrowableArray(np.float32, (width,))
            padded = np.full((len(self.label), width), np.nan, np.float32)
            padded[:, : self.label.data.shape[1]] = self.label.data
            wider.extend(padded)
            self.label = wider
        out = np.full((len(widths), width), np.nan, np.float32)
        if width:
            out[np.arange(width) < widths[:, None]] = array.flatten().to_numpy(
                zero_copy_only=False
            )
        return out


def _matrix(column: pa.ChunkedArray, width: int) -> npt.NDArray[np.float32]:
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    flat: npt.NDArray[np.float32] = np.concatenate(parts)
    return flat.reshape(-1, width)


def _unpack(bits: npt.NDArray[np.uint8], cameras: int) -> npt.NDArray[np.bool_]:
    return (bits[:, None] >> np.arange(cameras, dtype=np.uint8) & 1).astype(np.bool_)
