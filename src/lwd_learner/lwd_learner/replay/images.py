"""JPEG bytes of rows, from memory where possible, else from Lance; decoded only when asked for."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import simplejpeg

from lwd_learner.replay.layout import ReplayError

log = logging.getLogger(__name__)

Key = tuple[int, int, int]
"""(data set number, row, camera number) of a stored frame."""


class JpegCache:
    """Most recently used JPEG bytes up to a number of bytes; misses are read in one call."""

    def __init__(self, read: Callable[[Sequence[Key]], list[bytes]], max_bytes: int) -> None:
        """Read misses with `read`, which answers in the order of its keys."""
        self._read = read
        self.max_bytes = max_bytes
        self._entries: OrderedDict[Key, bytes] = OrderedDict()
        self.size_bytes = 0
        self.hits = 0
        self.misses = 0

    def put(self, key: Key, jpeg: bytes) -> None:
        """Keep the bytes of a frame; the least recently used make room."""
        old = self._entries.pop(key, None)
        if old is not None:
            self.size_bytes -= len(old)
        self._entries[key] = jpeg
        self.size_bytes += len(jpeg)
        while self.size_bytes > self.max_bytes and self._entries:
            _, evicted = self._entries.popitem(last=False)
            self.size_bytes -= len(evicted)

    def get(self, keys: Sequence[Key]) -> list[bytes]:
        """The bytes of each key, in order."""
        found: dict[Key, bytes] = {}
        missing: list[Key] = []
        for key in dict.fromkeys(keys):
            jpeg = self._entries.get(key)
            if jpeg is None:
                missing.append(key)
            else:
                self._entries.move_to_end(key)
                found[key] = jpeg
        self.hits += len(found)
        self.misses += len(missing)
        if missing:
            for key, jpeg in zip(missing, self._read(missing), strict=True):
                found[key] = jpeg
                self.put(key, jpeg)
        return [found[key] for key in keys]


class FrameDecoder:
    """Decodes JPEGs of one size to RGB on a number of threads (the decoder releases the interpreter lock)."""

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, 'jpeg') if threads > 1 else None

    def decode(self, jpegs: Sequence[bytes]) -> npt.NDArray[np.uint8]:
        """Decode N frames to RGB, shape (N, h, w, 3).

        Raises:
            ReplayError: a frame cannot be decoded, or the sizes differ.
        """
        if not jpegs:
            raise ReplayError('no frames to decode')
        height, width, _, _ = simplejpeg.decode_jpeg_header(jpegs[0])
        out = np.empty((len(jpegs), height, width, 3), np.uint8)
        if self._pool is None:
            _decode_all(out, jpegs, 0, len(jpegs))
        else:
            edges = np.linspace(0, len(jpegs), 2 * self._threads + 1).astype(int).tolist()
            parts = pairwise(edges)
            list(self._pool.map(lambda part: _decode_all(out, jpegs, *part), parts))
        return out


def decode_into(out: npt.NDArray[np.uint8], jpeg: bytes | memoryview) -> None:
    """Decode a frame to RGB into `out` (h, w, 3).

    A frame whose compressed data is damaged behind a sound header is shown as far as it decodes: ingest decodes one in
    many, and a grey corner must not end a training run.

    Raises:
        ReplayError: another size than `out`, or no JPEG at all.
    """
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
        if (height, width) != out.shape[:2]:
            raise ReplayError(
                f'a frame is {width}x{height}, the others are {out.shape[1]}x{out.shape[0]}'
            )
        try:
            simplejpeg.decode_jpeg(jpeg, buffer=out)
        except ValueError as error:
            log.warning('a stored frame is damaged, shown as far as it decodes: %s', error)
            simplejpeg.decode_jpeg(jpeg, buffer=out, strict=False)
    except ReplayError:
        raise
    except ValueError as error:
        raise ReplayError(f'a frame of {len(jpeg)} bytes is no decodable JPEG: {error}') from error


def _decode_all(out: npt.NDArray[np.uint8], jpegs: Sequence[bytes], start: int, stop: int) -> None:
    for i in range(start, stop):
        decode_into(out[i], jpegs[i])
