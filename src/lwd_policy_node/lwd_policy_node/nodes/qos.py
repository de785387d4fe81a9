"""Quality of service of every topic that the robot's nodes touch, spelled out in one place.

Names say what travels, not how. A reader that must not miss a transition keeps more than the
writer offers to late joiners: see `EPISODE_READER`.
"""

from __future__ import annotations

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def reliable(depth: int) -> QoSProfile:
    """Volatile, reliable, keep the last `depth`."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.VOLATILE,
    )


def best_effort(depth: int) -> QoSProfile:
    """Volatile, best effort, keep the last `depth`."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.VOLATILE,
    )


def latched(depth: int = 1) -> QoSProfile:
    """Transient local, reliable: a late joiner gets the last `depth`."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def teleop_writer(lifespan_s: float) -> QoSProfile:
    """Reliable, depth 1, and dropped by DDS itself once older than `lifespan_s` (wall clock)."""
    profile = reliable(1)
    profile.lifespan = Duration(nanoseconds=round(lifespan_s * 1e9))
    return profile


CLOCK = reliable(1)  # a tick that is lost is a control tick that is lost
CAMERA = best_effort(5)
JOINT_STATES = reliable(10)
JOINT_STATES_READER = reliable(1)  # the arbiter wants the newest only
ACTION_CHUNK = reliable(1)
ALIVE_QUESTION = reliable(1)  # its acknowledgement is the answer
HEARTBEAT = best_effort(1)  # the next one comes sooner than a lost one could be sent again
TELEOP_READER = reliable(10)  # every deadman edge counts
JOINT_COMMAND = reliable(1)
EXECUTED_ACTION = reliable(100)
CONTROL_MODE = latched()
EPISODE = latched(2)  # a restarted episode_node ends the lost one before readers have found it
EPISODE_READER = latched(10)  # ENDED and the next RUNNING may arrive between two takes
SIM_STATE = reliable(5)
MARKERS = reliable(1)
WEIGHTS = latched(2)  # what all robots shall run, and what some of them try out
WEIGHTS_STATUS = reliable(100)
ROBOT_STATUS = reliable(10)
RECORDER_STATE = latched()
DIAGNOSTICS = reliable(10)
