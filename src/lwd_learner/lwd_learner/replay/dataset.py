"""One Lance data set of a replay, pinned to a snapshot version: append, follow, read images, compact."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lwd_learner.replay.compaction import drop_images, merge_small_files, small_files
from lwd_learner.replay.frames import EpisodeFrames, low_dimensional, record_batches
from lwd_learner.replay.index import (
    INDEX_COLUMNS,
    STRUCTURE_COLUMNS,
    EpisodeFacts,
    FrameIndex,
    Vocabulary,
    fact_columns,
)
from lwd_learner.replay.layout import ReplayError, ReplayLayout
from lwd_learner.replay.storage import dataset_exists, open_dataset, write_dataset

COMPACT_FRAGMENTS = 64
"""Small files that pile up before `maybe_compact` acts: each append makes one."""
KEEP_OLD_VERSIONS_S = 3600.0
"""Snapshots superseded for so long lose their files at compaction; a reader must have moved on by then."""


class SnapshotDataset:
    """A handle on one data set with the index of the version it is pinned to."""

    def __init__(
        self,
        uri: str,
        tasks: Vocabulary,
        instructions: Vocabulary,
        layout: ReplayLayout | None = None,
        version: int | None = None,
        low_dimensional_bytes: int = 1 << 30,
        keep_rows: bool = True,
    ) -> None:
        """Open `uri` at `version` (default the newest), creating it empty where `layout` is given and it is absent.

        Raises:
            ReplayError: absent and no layout given, not a replay, or of another layout than the one given.
        """
        self.uri = uri
        if not dataset_exists(uri):
            if layout is None:
                raise ReplayError(
                    f'no replay at {uri}; create one with Replay.create, or correct the path'
                )
            write_dataset(layout.arrow_schema().empty_table(), uri, 'create')
        self._data: Any = open_dataset(uri, version)
        self.layout = ReplayLayout.from_metadata(self._data.schema.metadata, uri)
        if layout is not None and layout != self.layout:
            raise ReplayError(
                f'{uri} was made for profile {self.layout.profile!r} ({self.layout}), '
                f'not for {layout}; use another folder'
            )
        self.index = FrameIndex(self.layout, tasks, instructions, self._take, keep_rows)
        self._low_dimensional_bytes = low_dimensional_bytes
        self._follow()

    @property
    def version(self) -> int:
        """The snapshot version in use."""
        return int(self._data.version)

    @property
    def latest_version(self) -> int:
        """The newest snapshot version that was committed."""
        return int(self._data.latest_version)

    def append(self, episodes: Sequence[EpisodeFrames]) -> int:
        """Commit whole episodes as one new version and index them; answers the version.

        Raises:
            ReplayError: frames that do not fit, or an episode that is there already.
        """
        seen: set[str] = set()
        for episode in episodes:
            episode.check(self.layout)
            if episode.episode_id in self.index.by_id or episode.episode_id in seen:
                raise ReplayError(
                    f'{episode.episode_id} is already in {self.uri}; ask has_episode first'
                )
            seen.add(episode.episode_id)
        batches = (batch for episode in episodes for batch in record_batches(episode, self.layout))
        reader = pa.RecordBatchReader.from_batches(self.layout.arrow_schema(), batches)
        before = self.version
        committed: Any = write_dataset(reader, self.uri, 'append')
        self._data = committed
        if self.version == before + 1:
            table = pa.Table.from_batches(
                [low_dimensional(episode, self.layout) for episode in episodes]
            )
            first_rows = np.cumsum([0, *(len(episode) for episode in episodes[:-1])])
            columns = self._wanted(len(self.index) + table.num_rows)
            self.index.extend(
                table.select(columns), table.select(fact_columns(self.layout)).take(first_rows)
            )
        else:  # somebody else committed in between: their rows come first
            self._follow()
        return self.version

    def refresh(self, version: int | None = None) -> int:
        """Move to `version` (default the newest) and index what it adds; answers the rows added.

        Raises:
            ReplayError: `version` is older than the one in use.
        """
        newest = self.latest_version
        target = newest if version is None else version
        if target < self.version or target > newest:
            raise ReplayError(
                f'{self.uri}: cannot move from version {self.version} to {target} (newest {newest})'
            )
        if target == self.version:
            return 0
        self._data = open_dataset(self.uri, target)
        return self._follow()

    def _follow(self) -> int:
        """Index the rows after the last indexed one."""
        known = len(self.index)
        fragments: list[Any] = []
        skip = passed = 0
        for fragment in self._data.get_fragments():
            rows = fragment.count_rows()
            if passed + rows > known:
                if not fragments:
                    skip = known - passed
                fragments.append(fragment)
            passed += rows
        if fragments:
            table = (
                self._data.scanner(columns=self._wanted(passed), fragments=fragments)
                .to_table()
                .slice(skip)
            )
            first_rows = known + np.flatnonzero(table['t'].to_numpy() == 0)
            facts = self._take(first_rows, fact_columns(self.layout))
            self.index.extend(table, facts)
        return len(self.index) - known

    def _wanted(self, rows: int) -> list[str]:
        """What to read of new rows when there are `rows` in all: low-dimensional columns while they fit into memory."""
        low = self.index.low
        if low.in_memory and rows * low.row_bytes > self._low_dimensional_bytes:
            low.give_up()
        return list(INDEX_COLUMNS if low.in_memory else STRUCTURE_COLUMNS)

    def _take(self, rows: npt.NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        try:
            return self._data.take(rows, columns=list(columns))
        except OSError as error:
            raise ReplayError(
                f'{self.uri}: snapshot {self.version} is gone; refresh the replay ({error})'
            ) from error

    def read_jpegs(self, rows: npt.NDArray[np.int64], cameras: Sequence[int]) -> list[bytes]:
        """The frame of camera `cameras[i]` stored in row `rows[i]`.

        Raises:
            ReplayError: that row holds no new frame of that camera.
        """
        unique, where = np.unique(rows, return_inverse=True)
        wanted = sorted(set(cameras))
        columns = [self.layout.image_columns[camera] for camera in wanted]
        table = self._take(unique, columns)
        read = {
            camera: table[name].to_pylist() for camera, name in zip(wanted, columns, strict=True)
        }
        out: list[bytes] = []
        for row, position, camera in zip(rows.tolist(), where.tolist(), cameras, strict=True):
            jpeg = read[camera][position]
            if jpeg is None:
                raise ReplayError(
                    f'{self.uri}: row {row} holds no new frame of {self.layout.cameras[camera]}'
                )
            out.append(jpeg)
        return out

    def compact(self) -> int:
        """Merge small files; rows keep their numbers. Answers the new version."""
        self._data = open_dataset(self.uri)
        self._data = merge_small_files(self._data, self.uri)
        self._forget_old_versions()
        self._follow()
        return self.version

    def drop_images(self, episodes: Sequence[EpisodeFacts]) -> int:
        """Delete the images of these episodes; their rows stay, with their numbers. Answers the new version.

        The bytes are freed with the snapshots that still have them (`compact`).
        """
        self._data = open_dataset(self.uri)
        spans = [(facts.start, facts.stop) for facts in episodes]
        self._data = drop_images(self._data, self.uri, self.layout.image_columns, spans)
        self._follow()
        return self.version

    def _forget_old_versions(self) -> None:
        """Delete what only snapshots use that were superseded long ago; a reader may hold the last one still."""
        now = datetime.now()
        horizon = now - timedelta(seconds=KEEP_OLD_VERSIONS_S)
        stamps = [version['timestamp'].replace(tzinfo=None) for version in self._data.versions()]
        current_then = [stamp for stamp in stamps if stamp <= horizon]
        if current_then:
            self._data.cleanup_old_versions(older_than=now - max(current_then))

    def maybe_compact(self) -> bool:
        """Compact when COMPACT_FRAGMENTS small files have piled up."""
        if small_files(self._data) < COMPACT_FRAGMENTS:
            return False
        self.compact()
        return True
