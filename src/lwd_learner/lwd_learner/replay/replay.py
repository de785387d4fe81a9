"""The replay: an offline and an online data set, opened at one snapshot.

Rows are named by one int64 for both data sets, the global frame id: `data set number << 40 | row` (DATASETS gives the
numbers). It holds for good, so features computed for a row can be kept under it.

One process writes; any number read. A reader sees the snapshot it opened, whole, until it calls `refresh`.
Within a process one thread may append or refresh while another samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock, RLock

import numpy as np
import numpy.typing as npt

from lwd_learner.replay.amendments import AMENDMENTS, Amendment, AmendmentLog, amendment
from lwd_learner.replay.dataset import SnapshotDataset
from lwd_learner.replay.frames import EpisodeFrames
from lwd_learner.replay.images import FrameDecoder, JpegCache, Key
from lwd_learner.replay.index import EpisodeFacts, FrameIndex, Vocabulary
from lwd_learner.replay.layout import DATASETS, ProfileLike, ReplayError, ReplayLayout
from lwd_learner.replay.lock import one_commit

DATASET_SHIFT = 40
_ROW_MASK = (1 << DATASET_SHIFT) - 1

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ReplayConfig:
    """How a replay is read."""

    jpeg_cache_bytes: int = 512 << 20
    """JPEG bytes kept in memory."""
    low_dimensional_bytes: int = 1 << 30
    """States, actions and labels of a data set are in memory up to so many bytes; of a larger one they are read when
    sampled."""
    index_rows: bool = True
    """Keep what sampling must know of every row in memory, 72 bytes each; False for a process that only writes."""
    decode_threads: int = 1
    """Threads that decode images."""


class Replay:
    """Offline and online data sets under one folder."""

    def __init__(
        self,
        uri: str | Path,
        layout: ReplayLayout | None,
        versions: Mapping[str, int] | None,
        config: ReplayConfig,
    ) -> None:
        """Use `Replay.open` or `Replay.create`."""
        self.uri = str(uri).removeprefix('file://').rstrip('/')
        self._tasks, self._instructions = Vocabulary(), Vocabulary()
        self._lock = RLock()
        self._cache_lock = Lock()  # apart, so that reading images never waits for a commit
        self._data = {
            name: SnapshotDataset(
                f'{self.uri}/{name}.lance',
                self._tasks,
                self._instructions,
                layout,
                (versions or {}).get(name),
                config.low_dimensional_bytes,
                config.index_rows,
            )
            for name in DATASETS
        }
        self.layout = self._data[DATASETS[0]].layout
        self._log = AmendmentLog(
            f'{self.uri}/{AMENDMENTS}.lance', (versions or {}).get(AMENDMENTS)
        )
        self.verdicts = RLock()
        """Held while amendments change the index, and while a batch is drawn and read from it."""
        self.amended = 0
        """Counts the times that amendments changed the index: whoever keeps start rows looks again."""
        self._applied: dict[str, Amendment] = {}
        self._amend()
        self.cache = JpegCache(self._read_jpegs, config.jpeg_cache_bytes)
        self._decoder = FrameDecoder(config.decode_threads)

    @classmethod
    def open(
        cls,
        uri: str | Path,
        versions: Mapping[str, int] | None = None,
        config: ReplayConfig | None = None,
    ) -> Replay:
        """Open an existing replay, at the given snapshot versions or the newest.

        Raises:
            ReplayError: there is none at `uri`.
        """
        return cls(uri, None, versions, config or ReplayConfig())

    @classmethod
    def create(
        cls,
        uri: str | Path,
        profile: ProfileLike | ReplayLayout,
        config: ReplayConfig | None = None,
    ) -> Replay:
        """Open the replay at `uri`, creating its data sets where they are absent.

        Raises:
            ReplayError: it exists and was made for another profile.
        """
        layout = profile if isinstance(profile, ReplayLayout) else ReplayLayout.of(profile)
        if '://' not in str(uri):
            Path(uri).mkdir(parents=True, exist_ok=True)
        return cls(uri, layout, None, config or ReplayConfig())

    # -- what is there ------------------------------------------------------------------------------------------------
    def version(self, dataset: str) -> int:
        """Snapshot version of one data set."""
        return self._set(dataset).version

    def snapshot(self) -> dict[str, int]:
        """Version of each data set and of the amendments; give it to `open` or `refresh` of another reader."""
        versions = {name: data.version for name, data in self._data.items()}
        return versions | {AMENDMENTS: self._log.version}

    def index(self, dataset: str) -> FrameIndex:
        """In-memory columns of one data set; its row numbers are local (without the data set number)."""
        return self._set(dataset).index

    def episodes(self, dataset: str) -> list[EpisodeFacts]:
        """Episodes of one data set in order of arrival, pruned ones too: a batch's `episode` counts in this list."""
        return self._set(dataset).index.episodes

    def kept(self, dataset: str) -> list[EpisodeFacts]:
        """Episodes of one data set in order of arrival, without those that were pruned."""
        return [facts for facts in self.episodes(dataset) if not facts.pruned]

    def find(self, episode_id: str) -> tuple[str, EpisodeFacts]:
        """The data set and the facts of an episode, which may have been pruned.

        Raises:
            ReplayError: the replay does not hold it.
        """
        for name, data in self._data.items():
            number = data.index.by_id.get(episode_id)
            if number is not None:
                return name, data.index.episodes[number]
        known = [facts.episode_id for name in DATASETS for facts in self.kept(name)]
        raise ReplayError(
            f'{self.uri} holds no episode {episode_id!r}; it holds {len(known)}: '
            f'{", ".join(known[-5:]) or "nothing yet"}'
        )

    def amendments(self) -> list[Amendment]:
        """What was changed afterwards, oldest first."""
        return list(self._log.entries)

    def has_episode(self, episode_id: str) -> bool:
        """Whether either data set holds the episode."""
        return any(episode_id in data.index.by_id for data in self._data.values())

    @property
    def tasks(self) -> list[str]:
        """Task names; a batch's `task_id` counts in this list. Keep names: numbers hold while this is open."""
        return self._tasks.words

    @property
    def instructions(self) -> list[str]:
        """Instruction sentences; a batch's `instruction_id` counts in this list (while this is open)."""
        return self._instructions.words

    def __len__(self) -> int:
        return sum(len(data.index) for data in self._data.values())

    # -- change -------------------------------------------------------------------------------------------------------
    def append(self, dataset: str, episodes: Sequence[EpisodeFrames]) -> int:
        """Commit episodes as one new snapshot version; answers the version.

        Raises:
            ReplayError: frames that do not fit the layout, or an episode that either data set holds already.
        """
        with self._lock:
            for episode in episodes:
                if self.has_episode(episode.episode_id):
                    raise ReplayError(
                        f'{episode.episode_id} is already in {self.uri}; ask has_episode first'
                    )
            data = self._set(dataset)
            if not episodes:
                return data.version
            with one_commit(self.uri):
                version = data.append(episodes)
            self._amend()
            for episode in episodes:
                self._remember(DATASETS.index(dataset), data.index, episode)
            return version

    def refresh(self, versions: Mapping[str, int] | None = None) -> int:
        """Move to the newest snapshot (or the given one) that other processes committed; answers the rows added."""
        with self._lock:
            self._log.refresh((versions or {}).get(AMENDMENTS))
            added = sum(
                data.refresh((versions or {}).get(name)) for name, data in self._data.items()
            )
            self._amend()
            return added

    def relabel(
        self, episode_ids: Sequence[str], outcome: str, *, by: str = '', why: str = ''
    ) -> int:
        """Give episodes another outcome, as a new version of the amendments; answers it. The older one stays readable.

        Raises:
            ReplayError: an outcome that does not exist, or an episode that is not there or was pruned.
        """
        return self._change(
            [
                amendment(facts.episode_id, facts.outcome, outcome, by=by, why=why)
                for facts in map(self._unpruned, dict.fromkeys(episode_ids))
                if facts.outcome != outcome
            ]
        )

    def prune(self, episode_ids: Sequence[str], *, by: str = '', why: str = '') -> int:
        """Take episodes out: nothing starts in them any more, whoever counts leaves them out; answers the version.

        Their images are deleted at the next `compact`; their ids stay known, so that none is ingested again.

        Raises:
            ReplayError: an episode that is not there or was pruned already.
        """
        return self._change(
            [
                amendment(
                    facts.episode_id, facts.outcome, facts.outcome, pruned=True, by=by, why=why
                )
                for facts in map(self._unpruned, dict.fromkeys(episode_ids))
            ]
        )

    def compact(self) -> None:
        """Merge the small files that appends leave, and delete the images of pruned episodes; row numbers stay."""
        with self._lock, one_commit(self.uri):
            self._log.refresh()
            self._free()
            for data in self._data.values():
                data.compact()
            self._amend()

    def maybe_compact(self) -> bool:
        """Compact a data set whose small files have piled up; answers whether one was."""
        with self._lock, one_commit(self.uri):
            return sum(data.maybe_compact() for data in self._data.values()) > 0

    def _change(self, amendments: Sequence[Amendment]) -> int:
        with self._lock, one_commit(self.uri):
            self._log.refresh()
            if amendments:
                self._log.append(amendments)
            self._amend()
            return self._log.version

    def _unpruned(self, episode_id: str) -> EpisodeFacts:
        facts = self.find(episode_id)[1]
        if facts.pruned:
            raise ReplayError(f'{episode_id} was pruned from {self.uri} already')
        return facts

    def _amend(self) -> None:
        """Let the index show what the amendments say of the episodes that it has."""
        with self.verdicts:
            changed = 0
            for episode_id, entry in self._log.latest.items():
                if self._applied.get(episode_id) is entry:
                    continue
                for data in self._data.values():
                    number = data.index.by_id.get(episode_id)
                    if number is not None:
                        changed += data.index.amend(number, entry.outcome, pruned=entry.pruned)
                        self._applied[episode_id] = entry
            self.amended += changed > 0

    def _free(self) -> None:
        """Delete the images of episodes that were pruned since the last time."""
        pruned = [e for e in self._log.latest.values() if e.pruned and not e.freed]
        for data in self._data.values():
            mine = [e for e in pruned if e.episode_id in data.index.by_id]
            if mine:
                facts = [data.index.episodes[data.index.by_id[e.episode_id]] for e in mine]
                data.drop_images(facts)
                self._log.append([replace(entry, freed=True) for entry in mine])

    # -- rows ---------------------------------------------------------------------------------------------------------
    def global_rows(self, dataset: str, rows: npt.NDArray[np.integer]) -> Rows:
        """Global frame ids of local rows."""
        return rows.astype(np.int64) | (DATASETS.index(dataset) << DATASET_SHIFT)

    def all_image_rows(self, dataset: str | None = None) -> Rows:
        """Global ids of every row that a batch can name in `row` or `next_row`, ascending."""
        names = DATASETS if dataset is None else (dataset,)
        return np.concatenate(
            [
                self.global_rows(name, np.flatnonzero(self.index(name).new_image.data))
                for name in names
            ]
        )

    def labels(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Privileged labels of global rows, (B, L); NaN where an episode has none or fewer."""
        width = max(self.index(name).label.width for name in DATASETS)
        out = np.full((len(rows), width), np.nan, np.float32)
        for where, local, index in self.split(rows):
            out[where, : index.label.width] = index.label.take(local)
        return out

    def split(self, rows: Rows) -> list[tuple[npt.NDArray[np.intp], Rows, FrameIndex]]:
        """Per data set that occurs: positions in `rows`, local rows, index."""
        number = rows >> DATASET_SHIFT
        parts = []
        for i, name in enumerate(DATASETS):
            where = np.flatnonzero(number == i)
            if len(where):
                parts.append((where, rows[where] & _ROW_MASK, self.index(name)))
        return parts

    # -- images -------------------------------------------------------------------------------------------------------
    def jpegs(self, rows: Rows) -> list[list[bytes]]:
        """Per global row, the newest JPEG of each camera at or before it, in camera order.

        Raises:
            ReplayError: a row lies before the first frame of a camera.
        """
        keys = self._image_keys(rows)
        with self._cache_lock:
            flat = self.cache.get(keys)
        cameras = len(self.layout.cameras)
        return [flat[i : i + cameras] for i in range(0, len(flat), cameras)]

    def images(self, rows: Rows) -> npt.NDArray[np.uint8]:
        """Decoded images of global rows, RGB, shape (B, C, h, w, 3); all cameras must have one size.

        Raises:
            ReplayError: a row before the first frames, or cameras of different sizes (`jpegs` gives them apart).
        """
        unique, where = np.unique(rows, return_inverse=True)
        frames = self._decoder.decode([jpeg for row in self.jpegs(unique) for jpeg in row])
        images = frames.reshape(len(unique), len(self.layout.cameras), *frames.shape[1:])
        in_order = len(unique) == len(rows) and bool((np.diff(rows) > 0).all())
        return images if in_order else images[where]

    def image_places(self, rows: Rows) -> tuple[Rows, Rows]:
        """Where the images that global rows see are stored: data set number (B,), local row by camera (B, C).

        Raises:
            ReplayError: a row lies before the first frame of a camera.
        """
        held = np.empty((len(rows), len(self.layout.cameras)), np.int64)
        for where, local, index in self.split(rows):
            held[where] = index.camera_row.data[local]
        if (held < 0).any():
            raise ReplayError(
                f'row {int(rows[(held < 0).any(axis=1)][0])} lies before the first frame of a camera'
            )
        return rows >> DATASET_SHIFT, held

    def _image_keys(self, rows: Rows) -> list[Key]:
        numbers, held = self.image_places(rows)
        return [
            (number, row, camera)
            for number, of_row in zip(numbers.tolist(), held.tolist(), strict=True)
            for camera, row in enumerate(of_row)
        ]

    def _read_jpegs(self, keys: Sequence[Key]) -> list[bytes]:
        out: dict[Key, bytes] = {}
        for number, name in enumerate(DATASETS):
            mine = [key for key in keys if key[0] == number]
            if mine:
                rows = np.array([key[1] for key in mine], np.int64)
                read = self._set(name).read_jpegs(rows, [key[2] for key in mine])
                out.update(zip(mine, read, strict=True))
        return [out[key] for key in keys]

    def _remember(self, number: int, index: FrameIndex, episode: EpisodeFrames) -> None:
        if self.cache.max_bytes == 0:
            return
        start = index.episodes[index.by_id[episode.episode_id]].start
        with self._cache_lock:
            for camera, name in enumerate(self.layout.cameras):
                for t, jpeg in enumerate(episode.jpeg[name]):
                    if jpeg is not None:
                        self.cache.put((number, start + t, camera), jpeg)

    def _set(self, dataset: str) -> SnapshotDataset:
        if dataset not in self._data:
            raise ReplayError(f'no data set {dataset!r} in a replay; known: {", ".join(DATASETS)}')
        return self._data[dataset]
