"""rosbag2's metadata.yaml (version 9, Jazzy): what `ros2 bag`, Foxglove and `rosbags` read before the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

VERSION = 9
_INFINITE = {'sec': 9223372036, 'nsec': 854775807}


class _PlainDumper(getattr(yaml, 'CSafeDumper', yaml.SafeDumper)):  # type: ignore[misc]
    """Writes repeated mappings out in full: rosbag2's reader has no use for YAML anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class OfferedQos:
    """The QoS that a topic's publisher offered, as rosbag2 writes it; `ros2 bag play` offers it again."""

    reliability: str = 'reliable'
    """reliable or best_effort."""
    durability: str = 'volatile'
    """volatile or transient_local."""
    depth: int = 10
    """Length of the publisher's history, messages."""
    lifespan_s: float | None = None
    """Age at which a message is dropped unread, s; None = never."""

    def as_yaml(self) -> dict[str, Any]:
        """Return the profile in rosbag2's vocabulary."""
        lifespan = dict(_INFINITE)
        if self.lifespan_s is not None:
            lifespan = {'sec': int(self.lifespan_s), 'nsec': int(self.lifespan_s % 1 * 1e9)}
        return {
            'history': 'keep_last',
            'depth': self.depth,
            'reliability': self.reliability,
            'durability': self.durability,
            'deadline': dict(_INFINITE),
            'lifespan': lifespan,
            'liveliness': 'automatic',
            'liveliness_lease_duration': dict(_INFINITE),
            'avoid_ros_namespace_conventions': False,
        }


@dataclass(frozen=True, slots=True)
class TopicMetadata:
    """One topic's entry in metadata.yaml."""

    name: str
    type_name: str
    type_hash: str
    qos: OfferedQos
    count: int


@dataclass(frozen=True, slots=True)
class FileExtent:
    """One file's entry in metadata.yaml."""

    name: str
    """Relative to the bag's folder."""
    start_ns: int
    """Smallest log time, ns; 0 when empty."""
    end_ns: int
    """Largest log time, ns; 0 when empty."""
    count: int
    """Messages in it."""

    def as_yaml(self) -> dict[str, Any]:
        """Return the extent in rosbag2's vocabulary."""
        return {
            'starting_time': {'nanoseconds_since_epoch': self.start_ns},
            'duration': {'nanoseconds': self.end_ns - self.start_ns},
            'message_count': self.count,
        }


@cache
def qos_text(qos: OfferedQos) -> str:
    """Return the profile as the YAML text that rosbag2 puts into an MCAP channel."""
    return str(yaml.dump([qos.as_yaml()], Dumper=_PlainDumper, sort_keys=False)).strip()


def bag_information(
    *,
    files: Sequence[FileExtent],
    topics: Sequence[TopicMetadata],
    custom_data: Mapping[str, str],
    ros_distro: str,
) -> dict[str, Any]:
    """Return what metadata.yaml says, the mapping under `rosbag2_bagfile_information`.

    Args:
        files: every file, in the order in which they were written.
        topics: every topic with its message count.
        custom_data: free key-value pairs, e.g. the episode id.
        ros_distro: e.g. jazzy.
    """
    filled = [file for file in files if file.count] or [FileExtent('', 0, 0, 0)]
    whole = FileExtent(
        '',
        min(file.start_ns for file in filled),
        max(file.end_ns for file in filled),
        sum(file.count for file in files),
    )
    return {
        'version': VERSION,
        'storage_identifier': 'mcap',
        **whole.as_yaml(),
        'topics_with_message_count': [
            {
                'topic_metadata': {
                    'name': topic.name,
                    'type': topic.type_name,
                    'serialization_format': 'cdr',
                    'offered_qos_profiles': [topic.qos.as_yaml()],
                    'type_description_hash': topic.type_hash,
                },
                'message_count': topic.count,
            }
            for topic in topics
        ],
        'compression_format': '',
        'compression_mode': '',
        'relative_file_paths': [file.name for file in files],
        'files': [{'path': file.name, **file.as_yaml()} for file in files],
        'custom_data': dict(custom_data) or None,
        'ros_distro': ros_distro,
    }


def as_yaml_text(document: Mapping[str, Any]) -> str:
    """Return a mapping as YAML without anchors, keys in their order."""
    return str(yaml.dump(dict(document), Dumper=_PlainDumper, sort_keys=False))
