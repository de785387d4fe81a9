"""The streams of one bag, to be published again by many robots at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lwd_recorder.bag import read_bag
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, JointState

from lwd_msgs.msg import ExecutedAction

TYPES = {'joint_states': JointState, 'executed_action': ExecutedAction}
IMAGE = 'image/compressed'
MOST = 600  # messages of each stream: memory is bounded however long the bag is


@dataclass(slots=True)
class Frames:
    """Messages by topic below the robot, each stream played in a circle."""

    streams: dict[str, list[Any]]

    @classmethod
    def of_bag(cls, bag: Path) -> Frames:
        """Read a bag.

        Raises:
            ValueError: a stream is missing.
        """
        streams: dict[str, list[Any]] = {}
        for message in read_bag(bag):
            topic = message.topic.split('/', 2)[2]
            kind = TYPES.get(topic, CompressedImage if topic.endswith(IMAGE) else None)
            stream = streams.setdefault(topic, [])
            if kind is not None and len(stream) < MOST:
                stream.append(deserialize_message(message.data, kind))
        kept = {topic: stream for topic, stream in streams.items() if stream}
        for topic in TYPES:
            if topic not in kept:
                raise ValueError(f'{bag} has no {topic}: name another bag')
        return cls(kept)

    @property
    def cameras(self) -> list[str]:
        """Topics of images."""
        return [topic for topic in self.streams if topic.endswith(IMAGE)]
