"""What the recorder asks for of the topics that it records; the rest is in `lwd_policy_node.nodes.qos`."""

from __future__ import annotations

from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy

from lwd_recorder.recording import TopicSpec


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
