"""Exact length of serialized messages: rclpy's serialiser leaves unused bytes behind an empty last field.

Over DDS they never reach a subscriber; written into a bag by hand they would, and strict readers refuse them.
"""

from __future__ import annotations

from sensor_msgs.msg import JointState

ENCAPSULATION = 4  # bytes before the first field; alignment counts from behind them


def joint_state_size(message: JointState) -> int:
    """Bytes of a serialized JointState, encapsulation included."""
    at = 8  # stamp
    at = _text(at, message.header.frame_id)
    at = _align(at, 4) + 4
    for name in message.name:
        at = _text(at, name)
    for values in (message.position, message.velocity, message.effort):
        at = _align(at, 4) + 4
        if len(values):
            at = _align(at, 8) + 8 * len(values)
    return ENCAPSULATION + at


def _text(at: int, text: str) -> int:
    return _align(at, 4) + 4 + len(text.encode()) + 1


def _align(at: int, to: int) -> int:
    return (at + to - 1) // to * to
