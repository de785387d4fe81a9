"""Images at the size that a policy sees: one way, for the robot and for ingest."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg


def fitted(image: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    """An image (h, w, 3) averaged down, or stretched, to (height, width, 3); itself if it has that size."""
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def decoded(jpeg: bytes | memoryview, width: int, height: int) -> npt.NDArray[np.uint8]:
    """A JPEG as RGB (height, width, 3): decoded at the nearest larger power of two of its size, then averaged down.

    Raises:
        ValueError: it does not decode.
    """
    small = simplejpeg.decode_jpeg(
        jpeg, min_height=height, min_width=width, fastdct=True, fastupsample=True
    )
    return fitted(small, width, height)
