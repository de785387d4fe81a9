"""Messages of a plain bag as samples: which types are understood, and what is taken from each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lwd_learner.interop.errors import InteropError
from lwd_learner.interop.frames import Picture

Vector = tuple[list[str], npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Names, values, velocities (empty where the message has none)."""

_NOTHING = np.empty(0)
_CHANNELS = {'rgb8': 3, 'bgr8': 3, 'rgba8': 4, 'bgra8': 4, 'mono8': 1, '8UC1': 1, '8UC3': 3}


def _joint_state(message: Any) -> Vector:
    names = list(message.name)
    position, velocity = np.asarray(message.position, float), np.asarray(message.velocity, float)
    if len(position) != len(names):
        raise InteropError(f'a JointState has {len(names)} names and {len(position)} positions')
    return names, position, velocity if len(velocity) == len(names) else _NOTHING


def _trajectory(message: Any) -> Vector:
    if len(message.points) != 1:
        raise InteropError(
            f'a JointTrajectory of {len(message.points)} points is a plan, not a command; '
            'use action: next_state'
        )
    return list(message.joint_names), np.asarray(message.points[0].positions, float), _NOTHING


def _array(message: Any) -> Vector:
    values = np.asarray(message.data, float)
    return [str(i) for i in range(len(values))], values, _NOTHING


VECTORS: dict[str, Callable[[Any], Vector]] = {
    'sensor_msgs/msg/JointState': _joint_state,
    'trajectory_msgs/msg/JointTrajectory': _trajectory,
    'std_msgs/msg/Float64MultiArray': _array,
    'std_msgs/msg/Float32MultiArray': _array,
}


def _compressed(message: Any) -> Picture:
    data = bytes(message.data)
    if data[:3] == b'\xff\xd8\xff':
        return data
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise InteropError(
            f'a CompressedImage of format {message.format!r} and {len(data)} bytes cannot be decoded'
        )
    return np.ascontiguousarray(image[..., ::-1]).astype(np.uint8)


def _raw(message: Any) -> Picture:
    channels = _CHANNELS.get(message.encoding)
    if channels is None:
        raise InteropError(
            f'an Image of encoding {message.encoding!r}; {", ".join(_CHANNELS)} are understood'
        )
    rows = np.asarray(message.data, np.uint8).reshape(message.height, message.step)
    pixels = rows[:, : message.width * channels].reshape(message.height, message.width, channels)
    if channels == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    elif message.encoding.startswith('bgr') or message.encoding == '8UC3':
        pixels = pixels[..., 2::-1]
    return np.ascontiguousarray(pixels[..., :3])


PICTURES: dict[str, Callable[[Any], Picture]] = {
    'sensor_msgs/msg/CompressedImage': _compressed,
    'sensor_msgs/msg/Image': _raw,
}
