"""Batches with their images, read and decoded ahead by worker processes.

One process draws; `workers` others read JPEGs and decode them straight into shared memory. Job k goes to worker
k mod `workers` and its result is taken in that order, so batches are the same however fast each worker is.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from lwd_learner.replay.image_worker import Job, Opening, serve
from lwd_learner.replay.layout import ReplayError
from lwd_learner.replay.sampler import Sampler
from lwd_learner.replay.transitions import Batch


@dataclass(frozen=True, slots=True)
class ImageBatch:
    """A batch and what its observations saw. The images are overwritten once the next batch is asked for."""

    batch: Batch
    images: npt.NDArray[np.uint8]
    """(B, C, h, w, 3) RGB at t; pinned memory where CUDA is, so that copies to the device need not wait."""
    next_images: npt.NDArray[np.uint8]
    """(B, C, h, w, 3) RGB at the bootstrap observation."""


@dataclass(slots=True)
class _Drawn:
    state: dict[str, Any]
    """Of the sampler, before this batch was drawn."""
    batch: Batch
    slot: int


class Prefetcher:
    """An endless iterator over a sampler's batches. Close it, or use it as a context manager."""

    def __init__(self, sampler: Sampler, workers: int = 1, pin: bool | None = None) -> None:
        """Start the workers.

        Args:
            sampler: what draws; do not draw from it otherwise meanwhile.
            workers: processes that decode; `workers` + 1 batches of images are in memory.
            pin: page-lock that memory; None does so where torch finds CUDA.

        Raises:
            ReplayError: no workers, or nothing to sample.
        """
        if workers < 1:
            raise ReplayError(f'workers {workers}: need 1 or more')
        self._sampler, self._replay = sampler, sampler.replay
        self._size = sampler.config.batch_size
        self._shape = self._image_shape()
        self._slots = [_shared(self._slot_bytes) for _ in range(workers + 1)]
        self._pinned = [slot.ctypes.data for _, slot in self._slots if _pin(slot, pin)]
        context = multiprocessing.get_context('spawn')
        opening = Opening(
            self._replay.uri,
            self._replay.layout.image_columns,
            os.getpid(),
            tuple(descriptor for descriptor, _ in self._slots),
            self._shape,
        )
        self._workers: list[Any] = []
        self._ends: list[Connection] = []
        for _ in range(workers):
            mine, theirs = context.Pipe()
            worker = context.Process(target=serve, args=(opening, theirs), daemon=True)
            worker.start()
            theirs.close()
            self._workers.append(worker)
            self._ends.append(mine)
        self._drawn: deque[_Drawn] = deque()
        self._issued = self._taken = 0

    def __iter__(self) -> Prefetcher:
        return self

    def __next__(self) -> ImageBatch:
        """The next batch; the one before may be overwritten from here on.

        Raises:
            ReplayError: an image is gone or does not decode, or a worker died.
        """
        while self._issued - self._taken < len(self._slots):
            self._issue()
        drawn = self._drawn.popleft()
        number = self._taken % len(self._workers)
        try:
            said = self._ends[number].recv()
        except (EOFError, OSError):
            self._workers[number].join(1.0)
            raise ReplayError(
                f'image worker {number} died, exit code {self._workers[number].exitcode}; out of memory?'
            ) from None
        self._taken += 1
        if said is not None:
            raise ReplayError(said)
        size = len(drawn.batch)
        images = self._slots[drawn.slot][1][: 2 * size * self._image_bytes]
        both = images.reshape(2, size, *self._shape)
        return ImageBatch(drawn.batch, both[0], both[1])

    def state_dict(self) -> dict[str, Any]:
        """The sampler's state after the last batch that was taken: what is decoded ahead will be drawn again."""
        return self._drawn[0].state if self._drawn else self._sampler.state_dict()

    def close(self) -> None:
        """End the workers and free the memory. Idempotent."""
        for end in self._ends:
            end.close()
        for worker in self._workers:
            worker.join(5.0)
            if worker.is_alive():
                worker.kill()
                worker.join()
        self._ends, self._workers = [], []
        if self._pinned:
            import torch

            for address in self._pinned:
                torch.cuda.cudart().cudaHostUnregister(address)  # type: ignore[no-untyped-call]
            self._pinned = []
        for descriptor, _ in self._slots:
            os.close(descriptor)
        self._slots = []

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _image_bytes(self) -> int:
        return int(np.prod(self._shape))

    @property
    def _slot_bytes(self) -> int:
        return 2 * self._size * self._image_bytes

    def _image_shape(self) -> tuple[int, ...]:
        row = self._sampler.read(self._sampler.any_start()).row
        return self._replay.images(row).shape[1:]

    def _issue(self) -> None:
        state = self._sampler.state_dict()
        batch = self._sampler.sample()
        slot = self._issued % len(self._slots)
        rows = np.concatenate([batch.row, batch.next_row])
        number, held = self._replay.image_places(rows)
        job = Job(slot, self._replay.snapshot(), number, held)
        with suppress(OSError):  # the worker is gone: its turn to answer says so
            self._ends[self._issued % len(self._workers)].send(job)
        self._drawn.append(_Drawn(state, batch, slot))
        self._issued += 1


def _shared(size: int) -> tuple[int, npt.NDArray[np.uint8]]:
    """Memory that other processes may open; unlike /dev/shm, containers do not limit it to 64 MB."""
    descriptor = os.memfd_create('lwd-batch')
    os.ftruncate(descriptor, size)
    return descriptor, np.frombuffer(mmap.mmap(descriptor, size), np.uint8)


def _pin(slot: npt.NDArray[np.uint8], pin: bool | None) -> bool:
    if pin is False:
        return False
    import torch

    if not torch.cuda.is_available():
        if pin:
            raise ReplayError('pin was asked for, but torch finds no CUDA device here')
        return False
    cuda: Any = torch.cuda.cudart()  # type: ignore[no-untyped-call]
    return int(cuda.cudaHostRegister(slot.ctypes.data, slot.nbytes, 0)) == 0
