"""lwd_msgs/WeightsStatus and lwd_msgs/RobotStatus as plain values."""

from __future__ import annotations

from typing import Any

from lwd_policy_node.weights.wire import time_ns

from lwd_learner.publish.fleet_log import EVENTS, RobotReport, WeightsEvent

_PLAIN = [name for name in RobotReport.__slots__ if name != 'wall_s']


def event_of(message: Any) -> WeightsEvent:
    """Return what a WeightsStatus says."""
    return WeightsEvent(
        version=message.version,
        robot_id=message.robot_id,
        event=EVENTS.get(message.event, f'event {message.event}'),
        published_wall_s=time_ns(message.published) * 1e-9,
        loaded_wall_s=time_ns(message.stamp) * 1e-9,
        transport=message.transport,
        transfer_s=message.transfer_s,
        reason=message.reason,
    )


def report_of(message: Any) -> RobotReport:
    """Return what a RobotStatus says."""
    fields = {name: getattr(message, name) for name in _PLAIN}
    return RobotReport(wall_s=time_ns(message.stamp) * 1e-9, **fields)
