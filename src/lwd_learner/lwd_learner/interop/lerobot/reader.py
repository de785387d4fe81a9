"""Reads a LeRobotDataset v3 from a local folder: rows from parquet, pictures from mp4 or from the parquet itself."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lwd_learner.interop.errors import InteropError
from lwd_learner.interop.lerobot import files
from lwd_learner.interop.lerobot.video import read_video


@dataclass(frozen=True, slots=True)
class SourceEpisode:
    """One episode of a data set: its row in meta/episodes and its sentence."""

    number: int
    length: int
    sentence: str
    facts: dict[str, Any]
    """The whole row."""


class LeRobotReader:
    """A data set on disk."""

    def __init__(self, root: Path) -> None:
        """Open it.

        Raises:
            InteropError: no data set of version 3, or a part of its meta is missing or malformed.
        """
        self.root = root
        self.info = _json(root / files.INFO_PATH)
        version = str(self.info.get('codebase_version'))
        if not version.startswith('v3.'):
            raise InteropError(
                f'{root} is of version {version}; version 3 is read here: convert it with '
                "LeRobot's convert_dataset_v21_to_v30"
            )
        for name in ('fps', 'features', 'data_path'):
            if name not in self.info:
                raise InteropError(f'{root / files.INFO_PATH} has no {name}')
        self.fps = float(self.info['fps'])
        self.features: dict[str, dict[str, Any]] = self.info['features']
        self.sentences = files.read_tasks(root)
        layout = root / files.LAYOUT_PATH
        self.layout: dict[str, Any] | None = _json(layout) if layout.exists() else None
        """Ours, where the data set is an export of this project."""
        self._table: tuple[Path, pa.Table] | None = None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.resolve().name

    def column_names(self, feature: str) -> list[str]:
        """Names of a vector feature's columns; numbers where it has none.

        Raises:
            InteropError: there is no such feature.
        """
        if feature not in self.features:
            known = ', '.join(name for name in self.features if name not in files.COUNTERS)
            raise InteropError(f'{self.root} has no feature {feature!r}; it has {known}')
        names = self.features[feature].get('names')
        if isinstance(names, dict):  # older data sets group them, e.g. {motors: [...]}
            names = next(iter(names.values()), None)
        size = int(np.prod(self.features[feature]['shape']))
        if not isinstance(names, list) or len(names) != size:
            return [str(i) for i in range(size)]
        return [str(name) for name in names]

    def episodes(self) -> list[SourceEpisode]:
        """All episodes in order.

        Raises:
            InteropError: meta/episodes is missing or malformed.
        """
        paths = sorted((self.root / 'meta' / 'episodes').glob('*/*.parquet'))
        if not paths:
            raise InteropError(f'{self.root} has no meta/episodes/*/*.parquet')
        rows: list[dict[str, Any]] = []
        for path in paths:
            schema = pq.read_schema(path)
            columns = [name for name in schema.names if not name.startswith('stats/')]
            rows += pq.read_table(path, columns=columns).to_pylist()
        found = []
        for row in sorted(rows, key=lambda row: row['episode_index']):
            tasks = row.get('tasks') or [self.sentences.get(0, '')]
            found.append(
                SourceEpisode(int(row['episode_index']), int(row['length']), tasks[0], row)
            )
        return found

    def columns(self, episode: SourceEpisode, *features: str) -> dict[str, npt.NDArray[Any]]:
        """Values of an episode by feature, (T,) or (T, D).

        Raises:
            InteropError: rows are missing, or a feature is.
        """
        table = self._rows(episode)
        out: dict[str, npt.NDArray[Any]] = {}
        for name in features:
            if name not in table.column_names:
                raise InteropError(
                    f'{self.root}: the rows of episode {episode.number} have no {name}'
                )
            out[name] = np.array(table[name].to_pylist())
        return out

    def sha256(self, episode: SourceEpisode) -> str:
        """Hash of an episode's values, in whatever file and place its rows lie; pictures are left out.

        Raises:
            InteropError: rows are missing.
        """
        table, digest = self._rows(episode), hashlib.sha256()
        for name in sorted({*table.column_names} - {*files.COUNTERS}):
            if self.features.get(name, {}).get('dtype') not in ('image', 'video'):
                digest.update(repr((name, table[name].to_pylist())).encode())
        return digest.hexdigest()

    def pictures(self, episode: SourceEpisode, feature: str) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the RGB picture of each row of an episode.

        Raises:
            InteropError: no such camera, or its file is missing or damaged.
        """
        dtype = self.features.get(feature, {}).get('dtype')
        if dtype == 'image':
            yield from self._stored_images(episode, feature)
            return
        if dtype != 'video':
            cameras = [n for n, f in self.features.items() if f['dtype'] in ('video', 'image')]
            raise InteropError(
                f'{self.root} has no camera {feature!r}; it has {", ".join(cameras) or "none"}'
            )
        pattern = str(self.info.get('video_path') or files.VIDEO_PATH)
        path = self.root / pattern.format(
            video_key=feature,
            chunk_index=episode.facts[f'videos/{feature}/chunk_index'],
            file_index=episode.facts[f'videos/{feature}/file_index'],
        )
        start_s = float(episode.facts[f'videos/{feature}/from_timestamp'])
        yield from read_video(path, start_s, episode.length, self.fps)

    def data_path(self, episode: SourceEpisode) -> Path:
        """The parquet file with an episode's rows."""
        return self.root / str(self.info['data_path']).format(
            chunk_index=episode.facts['data/chunk_index'],
            file_index=episode.facts['data/file_index'],
        )

    def _rows(self, episode: SourceEpisode) -> pa.Table:
        path = self.data_path(episode)
        if self._table is None or self._table[0] != path:
            try:
                self._table = path, pq.read_table(path)
            except (OSError, pa.ArrowInvalid) as error:
                raise InteropError(f'{path} cannot be read: {error}') from error
        table = self._table[1]
        mine = table.filter(pa.compute.equal(table['episode_index'], episode.number))
        if mine.num_rows != episode.length:
            raise InteropError(
                f'{path} has {mine.num_rows} rows of episode {episode.number}, meta says {episode.length}'
            )
        return mine.sort_by('frame_index')

    def _stored_images(
        self, episode: SourceEpisode, feature: str
    ) -> Iterator[npt.NDArray[np.uint8]]:
        for entry in self._rows(episode)[feature]:
            data = (entry.as_py() or {}).get('bytes')
            image = None
            if data:
                image = cv2.imdecode(
                    np.frombuffer(io.BytesIO(data).getbuffer(), np.uint8), cv2.IMREAD_COLOR
                )
            if image is None:
                raise InteropError(
                    f'{self.root}: a picture of {feature} in episode {episode.number} cannot be decoded'
                )
            yield np.ascontiguousarray(image[..., ::-1])


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        raise InteropError(f'no {path}: {path.parent.parent} is not a LeRobot data set') from None
    except (OSError, ValueError) as error:
        raise InteropError(f'{path} cannot be read: {error}') from error
    if not isinstance(document, dict):
        raise InteropError(f'{path} holds no object')
    return document
