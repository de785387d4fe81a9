"""QoS profiles of this package's nodes, spelled out."""

from __future__ import annotations

from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy

from lwd_recorder.recording import TopicSpec

LATCHED = QoSProfile(
    history=QoSHistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=QoSReliabilityPolicy.RELIABLE,
    durability=QoSDurabilityPolicy.TRANSIENT_LOCAL,
)
"""recorder/recording, recorder/closed, recorder/backlog: late readers get the last one."""

DIAGNOSTICS = QoSProfile(
    history=QoSHistoryPolicy.KEEP_LAST,
    depth=10,
    reliability=QoSReliabilityPolicy.RELIABLE,
    durability=QoSDurabilityPolicy.VOLATILE,
)
"""/diagnostics."""


def recording(spec: TopicSpec) -> QoSProfile:
    """Return the profile to subscribe with: what the writer offers, and the recorder's own depth."""
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=spec.depth,
        reliability=QoSReliabilityPolicy.RELIABLE
        if spec.qos.reliability == 'reliable'
        else QoSReliabilityPolicy.BEST_EFFORT,
        durability=QoSDurabilityPolicy.TRANSIENT_LOCAL
        if spec.latched
        else QoSDurabilityPolicy.VOLATILE,
    )
