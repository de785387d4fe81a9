"""Quality of service of every topic that the simulated robot touches: the same as a real robot's."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(depth: int, reliability: ReliabilityPolicy) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=DurabilityPolicy.VOLATILE,
    )


CAMERA = _profile(5, ReliabilityPolicy.BEST_EFFORT)
CLOCK = _profile(
    1, ReliabilityPolicy.RELIABLE
)  # a tick that is lost is a control tick that is lost
JOINT_COMMAND = _profile(1, ReliabilityPolicy.RELIABLE)
JOINT_STATES = _profile(10, ReliabilityPolicy.RELIABLE)
SIM_STATE = _profile(5, ReliabilityPolicy.RELIABLE)
