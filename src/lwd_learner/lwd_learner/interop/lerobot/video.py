"""Pictures to mp4 and back, by PyAV (the FFmpeg that LeRobot itself uses).

A key frame stands at every second frame and no frame refers to a later one, so that a loader that asks for single
frames at random finds each quickly and at its exact time.

FFmpeg's log stays off, as PyAV leaves it: routed into Python, a codec's thread that logs waits for the interpreter lock
while the holder of the lock waits for that thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import av
import numpy as np
import numpy.typing as npt

from lwd_learner.interop.errors import InteropError

Codec = Literal['h264', 'hevc', 'av1']
Colour = Literal['auto', 'full', 'half']
FULL, HALF = 'yuv444p', 'yuv420p'
SMALL_PX = 128
"""Pictures with a shorter side keep their full colour. Halving it costs 4 to 6 dB at any size: at 64x64 28 to 31 dB are
left, at 848x480 and above 36 dB and more."""
ENCODERS = {'h264': 'libx264', 'hevc': 'libx265', 'av1': 'libsvtav1'}
KEY_EVERY = 2
_OPTIONS = {
    'h264': {'bf': '0', 'preset': 'veryfast'},
    'hevc': {'preset': 'veryfast', 'x265-params': 'log-level=error:bframes=0'},
    'av1': {'preset': '10', 'svtav1-params': 'pred-struct=1'},  # 1: low delay
}


class VideoWriter:
    """One mp4 of equally spaced frames."""

    def __init__(
        self, path: Path, fps: int, height: int, width: int, codec: Codec, crf: int, colour: Colour
    ) -> None:
        """Begin a file.

        Raises:
            InteropError: the size is odd and the colour halved, or the encoder is not built in.
        """
        pixels = pixel_format(codec, colour, height, width)
        if pixels == HALF and (height % 2 or width % 2):
            raise InteropError(
                f'{path.parent.parent.name}: pictures of {width}x{height}; halved colour needs even sizes, '
                'export with full colour'
            )
        os.environ.setdefault('SVT_LOG', '1')  # SVT-AV1 writes its settings to stderr otherwise
        path.parent.mkdir(parents=True, exist_ok=True)
        self.frames = 0
        self._path = path
        self._container: Any = av.open(str(path), 'w', options={'movflags': 'faststart'})
        options = {'g': str(KEY_EVERY), 'crf': str(crf), **_OPTIONS[codec]}
        try:
            stream: Any = self._container.add_stream(ENCODERS[codec], rate=fps, options=options)
        except ValueError as error:
            raise InteropError(f'this FFmpeg has no encoder {ENCODERS[codec]}: {error}') from error
        stream.width, stream.height = width, height
        stream.pix_fmt, stream.thread_count = pixels, 1
        self._stream: Any = stream
        self._period = Fraction(1, fps)

    @property
    def size_bytes(self) -> int:
        """Bytes written so far, those in buffers left out."""
        return self._path.stat().st_size if self._path.exists() else 0

    def add(self, image: npt.NDArray[np.uint8]) -> None:
        """Append one RGB frame, (h, w, 3)."""
        frame: Any = av.VideoFrame.from_ndarray(image, format='rgb24')
        frame.pts, frame.time_base = self.frames, self._period
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        self.frames += 1

    def close(self) -> None:
        """Finish the file."""
        for packet in self._stream.encode():
            self._container.mux(packet)
        self._container.close()

    def __enter__(self) -> VideoWriter:
        """Use as a context."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file, whatever happened."""
        self.close()


def pixel_format(codec: Codec, colour: Colour, height: int, width: int) -> str:
    """FFmpeg's name of the pixels: colour in full or halved in both directions.

    Raises:
        InteropError: full colour asked of AV1, whose encoder has none.
    """
    if codec == 'av1':
        if colour == 'full':
            raise InteropError('the av1 encoder halves colour; use h264 or hevc for full colour')
        return HALF
    small = min(height, width) < SMALL_PX
    return FULL if colour == 'full' or (colour == 'auto' and small) else HALF


def read_video(
    path: Path, from_s: float, frames: int, fps: float
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield `frames` RGB frames from `from_s` on, in order.

    Raises:
        InteropError: the file cannot be decoded, or has fewer frames there.
    """
    half = 0.5 / fps
    found = 0
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            base = stream.time_base
            if base is None:
                raise InteropError(f'{path}: the video has no time base')
            container.seek(max(0, int((from_s - half) / base)), stream=stream)
            for frame in container.decode(stream):
                if found == frames:
                    return
                if frame.time is not None and frame.time >= from_s - half:
                    found += 1
                    yield frame.to_ndarray(format='rgb24').astype(np.uint8, copy=False)
    except (av.FFmpegError, IndexError) as error:
        raise InteropError(f'{path} cannot be decoded: {error}') from error
    if found < frames:
        raise InteropError(
            f'{path} has {found} frames from {from_s:.3f} s on, {frames} are expected'
        )
