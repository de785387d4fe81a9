"""Camera strips for the report: evenly spaced frames of an episode, read back from its bag in the store."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lwd_recorder.bag import BagError, read_bag
from rosbags.typesys import Stores, get_typestore

FRAMES = 8
CAMERAS = ('head', 'hand_left', 'hand_right')


@dataclass(frozen=True, slots=True)
class Strip:
    """Frames of one episode: a row of JPEG data URIs a camera."""

    episode_id: str
    title: str
    rows: dict[str, list[str]]


def episode_folder(store: Path, episode_id: str) -> Path | None:
    """The episode's folder in a store on disk; None when it is not there."""
    return next(store.glob(f'robots/*/episodes/*/{episode_id}'), None)


def make_strip(
    store: Path, episode_id: str, title: str, cameras: Sequence[str] = CAMERAS
) -> Strip | None:
    """Read an episode's cameras; None when its bag is not in the store or cannot be read."""
    folder = episode_folder(store, episode_id)
    if folder is None:
        return None
    types = get_typestore(Stores.ROS2_JAZZY)
    frames: dict[str, list[bytes]] = {camera: [] for camera in cameras}
    try:
        for topic, type_name, data, _ in read_bag(folder):
            camera = next(
                (name for name in cameras if topic.endswith(f'/camera/{name}/image/compressed')),
                None,
            )
            if camera is not None:
                image: Any = types.deserialize_cdr(data, type_name)
                frames[camera].append(bytes(image.data))
    except BagError:
        return None
    rows = {
        camera: [_uri(jpeg) for jpeg in _spread(found)]
        for camera, found in frames.items()
        if found
    }
    return Strip(episode_id, title, rows)


def _spread(frames: list[bytes]) -> list[bytes]:
    if len(frames) <= FRAMES:
        return frames
    return [frames[round(index * (len(frames) - 1) / (FRAMES - 1))] for index in range(FRAMES)]


def _uri(jpeg: bytes) -> str:
    return 'data:image/jpeg;base64,' + base64.b64encode(jpeg).decode()
