"""Manifest <-> lwd_msgs/WeightsManifest, and where its file is asked for. Message classes only, no rclpy."""

from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Time

from lwd_msgs.msg import TensorStatistics as TensorMessage
from lwd_msgs.msg import WeightsManifest
from lwd_policy_node.weights.manifest import Manifest
from lwd_policy_node.weights.statistics import TensorStatistics

PIECES_SERVICE = '/lwd/get_weights'
"""Serves files in pieces; the learner opens `PIECES_SERVICE/<robot_id>` for one robot alone."""

_NS = 1_000_000_000
_PLAIN = (
    'version',
    'parent',
    'stage',
    'step',
    'config_hash',
    'replay_version',
    'size_bytes',
    'sha256',
    'delta_bytes',
    'floor',
    'key_id',
)


def time_message(stamp_ns: int) -> Any:
    """Return builtin_interfaces/Time of nanoseconds since the epoch."""
    return Time(sec=stamp_ns // _NS, nanosec=stamp_ns % _NS)


def time_ns(message: Any) -> int:
    """Return the nanoseconds of a builtin_interfaces/Time."""
    return int(message.sec) * _NS + int(message.nanosec)


def manifest_to_message(manifest: Manifest) -> Any:
    """Return the lwd_msgs/WeightsManifest that announces `manifest`."""
    message = WeightsManifest()
    message.published = time_message(manifest.published_ns)
    for name in _PLAIN:
        setattr(message, name, getattr(manifest, name))
    message.tensors = [
        TensorMessage(name=entry.name, rms=entry.rms, max_abs=entry.max_abs)
        for entry in manifest.tensors
    ]
    message.uris, message.robots = list(manifest.uris), list(manifest.robots)
    message.signature = list(manifest.signature)
    return message


def manifest_from_message(message: Any) -> Manifest:
    """Return the Manifest of a lwd_msgs/WeightsManifest."""
    return Manifest(
        published_ns=time_ns(message.published),
        signature=bytes(message.signature),
        tensors=tuple(
            TensorStatistics(entry.name, entry.rms, entry.max_abs) for entry in message.tensors
        ),
        uris=tuple(message.uris),
        robots=tuple(message.robots),
        **{name: getattr(message, name) for name in _PLAIN},
    )
