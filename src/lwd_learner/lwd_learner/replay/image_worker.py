"""A process that reads and decodes the images of batches; `prefetch.py` gives it work."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Opening:
    """What a worker is told once."""

    uri: str
    """Of the replay."""
    columns: tuple[str, ...]
    """Image column of each camera."""
    owner: int
    """Process whose memory batches are written to."""
    slots: tuple[int, ...]
    """Its descriptors of that memory."""
    shape: tuple[int, ...]
    """(C, h, w, 3)."""


@dataclass(frozen=True, slots=True)
class Job:
    """The images of one batch."""

    slot: int
    versions: Mapping[str, int]
    """Snapshot of each data set that has the rows."""
    dataset: npt.NDArray[np.int64]
    """(N,) data set number of each observation."""
    held: npt.NDArray[np.int64]
    """(N, C) local row that holds each camera's image."""


def serve(opening: Opening, end: Connection) -> None:
    """Answer each `Job` with None, or with what went wrong, until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's to answer
    os.environ.setdefault('LANCE_CPU_THREADS', '1')
    slots = []
    for descriptor in opening.slots:
        with open(f'/proc/{opening.owner}/fd/{descriptor}', 'r+b') as file:  # noqa: PTH123
            slots.append(np.frombuffer(mmap.mmap(file.fileno(), 0), np.uint8))
    reader = _Reader(opening)
    with suppress(EOFError, OSError):  # the owner has left
        while True:
            job: Job = end.recv()
            size = len(job.dataset) * int(np.prod(opening.shape))
            out = slots[job.slot][:size].reshape(len(job.dataset), *opening.shape)
            said = None
            try:
                reader.read(job, out)
            except Exception as error:  # told to the one who asked, who raises it
                said = f'{type(error).__name__}: {error}'
            end.send(said)


class _Reader:
    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._open: dict[str, tuple[int, Any]] = {}

    def read(self, job: Job, out: npt.NDArray[np.uint8]) -> None:
        from lwd_learner.replay.images import decode_into
        from lwd_learner.replay.layout import DATASETS

        for number, name in enumerate(DATASETS):
            where = np.flatnonzero(job.dataset == number)
            if len(where) == 0:
                continue
            data = self._data(name, job.versions[name])
            rows = np.unique(job.held[where])
            table = data.take(rows, columns=list(self._opening.columns))
            for camera, column in enumerate(self._opening.columns):
                jpegs = _views(table[column])
                at = np.searchsorted(rows, job.held[where, camera]).tolist()
                for position, i in zip(where.tolist(), at, strict=True):
                    decode_into(out[position, camera], jpegs[i])

    def _data(self, name: str, version: int) -> Any:
        from lwd_learner.replay.storage import open_dataset

        opened = self._open.get(name)
        if opened is None or opened[0] != version:
            data = open_dataset(f'{self._opening.uri}/{name}.lance', version)
            self._open[name] = opened = version, data
        return opened[1]


def _views(column: Any) -> list[memoryview]:
    """The values of a large_binary column, not copied; empty where null."""
    views: list[memoryview] = []
    for chunk in column.chunks:
        _, offsets, data = chunk.buffers()
        ends = np.frombuffer(offsets, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
        view = memoryview(data).cast('B') if data is not None else memoryview(b'')
        views += [view[start:stop] for start, stop in pairwise(ends.tolist())]
    return views
