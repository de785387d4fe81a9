"""Writes a LeRobotDataset v3.0, episode by episode, into a folder that appears only when it is whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lwd_learner.interop.errors import InteropError
from lwd_learner.interop.lerobot import files, statistics
from lwd_learner.interop.lerobot.video import Codec, Colour, VideoWriter, pixel_format

STATISTICS_FRAMES = 100
"""Pictures of an episode and camera that statistics are made from, spread evenly."""


@dataclass(frozen=True, slots=True)
class VideoConfig:
    """How pictures become video."""

    codec: Codec = 'h264'
    """h264 opens everywhere; av1 is LeRobot's default, smaller and slower to write; hevc."""
    crf: int = 18
    """Constant quality: 0 is lossless or nearly so, larger is smaller and worse."""
    colour: Colour = 'auto'
    """full, half (4:2:0, what browsers play), or auto: full for pictures below 128 pixels, else half."""


@dataclass(slots=True)
class _Place:
    """The file that is being written."""

    chunk: int = 0
    file: int = 0

    def advance(self) -> None:
        self.chunk, self.file = (
            (self.chunk + 1, 0)
            if self.file == files.CHUNKS_SIZE - 1
            else (self.chunk, self.file + 1)
        )

    def path(self, pattern: str, **more: str) -> str:
        return pattern.format(chunk_index=self.chunk, file_index=self.file, **more)


@dataclass(slots=True)
class _Video:
    """A camera's running file."""

    place: _Place
    writer: VideoWriter | None = None


class LeRobotWriter:
    """A data set under way; use it as a context: an exception leaves nothing behind."""

    def __init__(
        self,
        root: Path,
        fps: int,
        robot_type: str,
        features: Mapping[str, dict[str, Any]],
        sizes: Mapping[str, tuple[int, int]],
        video: VideoConfig,
        data_file_mb: float = files.DATA_FILE_MB,
        video_file_mb: float = files.VIDEO_FILE_MB,
    ) -> None:
        """Begin.

        Args:
            root: the folder that will hold the data set; must not exist.
            fps: rows a second.
            robot_type: goes into info.json.
            features: vector and scalar features; counters and cameras are added.
            sizes: (height, width) by camera.
            video: codec and quality.
            data_file_mb: a new parquet file is begun once one is larger.
            video_file_mb: the same for mp4.

        Raises:
            InteropError: `root` exists.
        """
        if root.exists():
            raise InteropError(f'{root} exists; name a new folder, or remove it')
        self._root, self._partial = root, root.with_name(f'.{root.name}.partial')
        self._fps, self._robot_type, self._config = fps, robot_type, video
        self._limits = (data_file_mb * 2**20, video_file_mb * 2**20)
        self._features = {
            **features,
            **{
                files.camera_key(camera): files.video_feature(
                    height,
                    width,
                    fps,
                    video.codec,
                    pixel_format(video.codec, video.colour, height, width),
                )
                for camera, (height, width) in sizes.items()
            },
            **files.counter_features(),
        }
        self._sizes = dict(sizes)
        self._videos = {camera: _Video(_Place()) for camera in sizes}
        self._data = _Place()
        self._parquet: Any = None
        self._sentences: list[str] = []
        self._episodes: list[dict[str, Any]] = []
        self._statistics: list[dict[str, statistics.Stats]] = []
        self._rows = 0
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)

    def add(
        self,
        sentence: str,
        columns: Mapping[str, npt.NDArray[Any]],
        pictures: Mapping[str, Iterable[npt.NDArray[np.uint8]]],
        facts: Mapping[str, Any],
    ) -> None:
        """Append one episode of T equally spaced rows.

        Args:
            sentence: LeRobot's task, the words that a policy is given.
            columns: (T,) or (T, D) values by feature.
            pictures: T RGB pictures by camera.
            facts: more columns of the episode's row in meta/episodes.
        """
        length = len(next(iter(columns.values())))
        number = len(self._episodes)
        if sentence not in self._sentences:
            self._sentences.append(sentence)
        counters: dict[str, npt.NDArray[Any]] = {
            'timestamp': (np.arange(length) / self._fps).astype(np.float32),
            'frame_index': np.arange(length),
            'episode_index': np.full(length, number),
            'index': np.arange(self._rows, self._rows + length),
            'task_index': np.full(length, self._sentences.index(sentence)),
        }
        every: dict[str, npt.NDArray[Any]] = {**columns, **counters}
        table = pa.table(
            {name: files.column(of, self._features[name]['dtype']) for name, of in every.items()}
        )
        numeric = {
            name: statistics.of_columns(of.reshape(length, -1)) for name, of in every.items()
        }
        row: dict[str, Any] = {
            'episode_index': number,
            'tasks': [sentence],
            'length': length,
            'dataset_from_index': self._rows,
            'dataset_to_index': self._rows + length,
            **self._write_rows(table),
        }
        for camera, images in pictures.items():
            written, stats = self._write_video(camera, images, length)
            row |= written
            numeric[files.camera_key(camera)] = stats
        self._episodes.append({**row, **facts})
        self._statistics.append(numeric)
        self._rows += length

    def _write_rows(self, table: pa.Table) -> dict[str, int]:
        path = self._partial / self._data.path(files.DATA_PATH)
        if self._parquet is not None and path.stat().st_size > self._limits[0]:
            self._parquet.close()
            self._parquet = None
            self._data.advance()
            path = self._partial / self._data.path(files.DATA_PATH)
        if self._parquet is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._parquet = pq.ParquetWriter(path, table.schema, compression='snappy')
        self._parquet.write_table(table)
        return {'data/chunk_index': self._data.chunk, 'data/file_index': self._data.file}

    def _write_video(
        self, camera: str, images: Iterable[npt.NDArray[np.uint8]], length: int
    ) -> tuple[dict[str, Any], statistics.Stats]:
        key, video = files.camera_key(camera), self._videos[camera]
        if video.writer is not None and video.writer.size_bytes > self._limits[1]:
            video.writer.close()
            video.writer = None
            video.place.advance()
        if video.writer is None:
            path = self._partial / video.place.path(files.VIDEO_PATH, video_key=key)
            height, width = self._sizes[camera]
            config = self._config
            video.writer = VideoWriter(
                path, self._fps, height, width, config.codec, config.crf, config.colour
            )
        writer, before = video.writer, video.writer.frames
        stats = statistics.PictureStatistics()
        nth = max(1, length // STATISTICS_FRAMES)
        for number, image in enumerate(images):
            writer.add(image)
            if number % nth == 0:
                stats.add(image)
        if writer.frames - before != length:
            raise InteropError(
                f'camera {camera} gave {writer.frames - before} pictures for {length} rows'
            )
        return {
            f'videos/{key}/chunk_index': video.place.chunk,
            f'videos/{key}/file_index': video.place.file,
            f'videos/{key}/from_timestamp': before / self._fps,
            f'videos/{key}/to_timestamp': writer.frames / self._fps,
        }, stats.result()

    def _write_meta(self, extra: Mapping[str, Any]) -> None:
        meta = self._partial / 'meta'
        meta.mkdir(exist_ok=True)
        place = _Place()
        path = self._partial / place.path(files.EPISODES_PATH)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            {
                **episode,
                'meta/episodes/chunk_index': 0,
                'meta/episodes/file_index': 0,
                **{
                    f'stats/{name}/{key}': value.tolist()
                    for name, of in stats.items()
                    for key, value in of.items()
                },
            }
            for episode, stats in zip(self._episodes, self._statistics, strict=True)
        ]
        pq.write_table(pa.Table.from_pylist(rows), path)
        files.write_tasks(self._partial, self._sentences)
        info = {
            'codebase_version': files.CODEBASE_VERSION,
            'robot_type': self._robot_type,
            'total_episodes': len(self._episodes),
            'total_frames': self._rows,
            'total_tasks': len(self._sentences),
            'chunks_size': files.CHUNKS_SIZE,
            'data_files_size_in_mb': files.DATA_FILE_MB,
            'video_files_size_in_mb': files.VIDEO_FILE_MB,
            'fps': self._fps,
            'splits': {'train': f'0:{len(self._episodes)}'},
            'data_path': files.DATA_PATH,
            'video_path': files.VIDEO_PATH,
            'features': self._features,
        }
        merged = statistics.as_json(statistics.merge(self._statistics))
        for name, document in (
            (files.INFO_PATH, info),
            (files.STATS_PATH, merged),
            (files.LAYOUT_PATH, dict(extra)),
        ):
            (self._partial / name).write_text(json.dumps(document, indent=1))

    def close(self, extra: Mapping[str, Any]) -> None:
        """Finish every file, write meta (`extra` into our own file of it), and let the folder appear.

        Raises:
            InteropError: no episode was added.
        """
        self._close_files()
        if not self._episodes:
            raise InteropError('nothing to export: no episode fits the selection')
        self._write_meta(extra)
        self._partial.replace(self._root)

    def _close_files(self) -> None:
        writers: Sequence[Any] = [
            self._parquet,
            *(video.writer for video in self._videos.values()),
        ]
        for writer in writers:
            if writer is not None:
                writer.close()
        self._parquet = None
        for video in self._videos.values():
            video.writer = None

    def __enter__(self) -> LeRobotWriter:
        """Use as a context."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove what is not whole."""
        self._close_files()
        shutil.rmtree(self._partial, ignore_errors=True)
