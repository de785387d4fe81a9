"""A closed episode of a chosen size in a spool, as the recorder leaves it: raw images, which do not shrink."""

from __future__ import annotations

import os
import time
from pathlib import Path

from lwd_recorder.bag import BagWriter, TopicOptions
from lwd_recorder.manifest import EpisodeManifest
from lwd_recorder.spool import Spool

_FRAME_BYTES = 640 * 480 * 3
_PERIOD_NS = 11_111_111
_TOPIC, _TYPE = '/bench/camera/head/image_raw', 'sensor_msgs/msg/Image'


def closed_episode(root: Path, episode_id: str, size_bytes: int) -> EpisodeManifest:
    """Write an episode of about this size into a spool and close it."""
    spool = Spool(root)
    folder = spool.open_episode(episode_id)
    frame = os.urandom(_FRAME_BYTES)
    count = max(1, size_bytes // _FRAME_BYTES)
    with BagWriter(folder, default=TopicOptions(compression='none')) as bag:
        for number in range(count):
            stamp_ns = number * _PERIOD_NS
            bag.write(_TOPIC, _TYPE, number.to_bytes(4, 'little') + frame, stamp_ns)
        summary = bag.close()
    manifest = EpisodeManifest(
        episode_id=episode_id, robot_id='bench', profile='g1_laptop', task='bench',
        instruction='', kind='rollout', seed=0, outcome='success', ended_by='operator', started_s=0.0,
        ended_s=count * _PERIOD_NS / 1e9, ended_wall_s=time.time(), committed_wall_s=0.0,
        files=summary.files, topics=summary.topics,
    )  # fmt: skip
    manifest.save(folder)
    spool.close_episode(episode_id)
    spool.close()
    return manifest
