"""Is this a picture that training can decode? And the same picture, smaller."""

from __future__ import annotations

import numpy as np
import simplejpeg
from lwd_policy_node.image_size import decoded
from lwd_policy_node.profile import Camera

from lwd_learner.ingest.errors import DamagedEpisodeError

_START, _END = b'\xff\xd8\xff', b'\xff\xd9'
_TRAILING = 64
"""Bytes that a driver may leave behind the end marker."""


def check_jpeg(camera: str, jpeg: bytes | memoryview, size: tuple[int, int], whole: bool) -> None:
    """Look at a JPEG's markers and header, and decode it if `whole` (at an eighth of its size).

    Args:
        camera: for messages.
        jpeg: the bytes.
        size: (width, height) that it must have.
        whole: decode it too; 200 times as costly as the rest at 640x480.

    Raises:
        DamagedEpisodeError: it is none, it is cut short, or it has another size.
    """
    if len(jpeg) < 4 or jpeg[:3] != _START or _END not in bytes(jpeg[-_TRAILING:]):
        raise DamagedEpisodeError(
            f'{camera}: an image is no valid JPEG: its {len(jpeg)} bytes do not begin and end as one'
        )
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
        if (width, height) != size:
            raise DamagedEpisodeError(
                f'{camera}: an image of {width}x{height}, the profile says {size[0]}x{size[1]}'
            )
        if whole:
            simplejpeg.decode_jpeg(jpeg, 'GRAY', min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        raise DamagedEpisodeError(f'{camera}: an image is no valid JPEG: {error}') from error


def smaller(
    camera: Camera, jpeg: bytes | memoryview, width: int, height: int, quality: int
) -> bytes:
    """The picture at training size, re-encoded.

    Raises:
        DamagedEpisodeError: it does not decode.
    """
    try:
        image = decoded(jpeg, width, height)
    except ValueError as error:
        raise DamagedEpisodeError(f'{camera.name}: an image is no valid JPEG: {error}') from error
    out: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality)
    return out
