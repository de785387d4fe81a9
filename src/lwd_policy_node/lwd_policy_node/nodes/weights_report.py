"""What became of announced weights on this robot: /lwd/weights_status."""

from __future__ import annotations

import time
from typing import Any

from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node

from lwd_msgs.msg import WeightsStatus
from lwd_policy_node.inference import LoadedWeights
from lwd_policy_node.nodes import qos
from lwd_policy_node.weights import Manifest
from lwd_policy_node.weights.wire import time_message


class WeightsReport:
    """The publisher. Safe from several threads."""

    def __init__(self, node: Node, robot_id: str) -> None:
        """Report on behalf of `robot_id`."""
        self._node = node
        self._robot_id = robot_id
        self._in_use: Manifest | None = None
        self._out = node.create_publisher(
            WeightsStatus,
            '/lwd/weights_status',
            qos.WEIGHTS_STATUS,
            event_callbacks=PublisherEventCallbacks(matched=self._on_listener),
        )

    def tell(
        self,
        manifest: Manifest,
        event: int,
        weights: LoadedWeights | None = None,
        reason: str = '',
    ) -> None:
        """Publish an event, a constant of WeightsStatus, of a version."""
        if event == WeightsStatus.ACTIVE:
            self._in_use = manifest
        message = WeightsStatus(event=event, reason=reason, robot_id=self._robot_id)
        message.stamp = time_message(time.time_ns())
        message.published = time_message(manifest.published_ns)
        message.version = manifest.version
        if weights is not None:
            message.transport = weights.transport
            message.transfer_s = weights.transfer_s
        self._out.publish(message)

    def close(self) -> None:
        """Withdraw the topic."""
        self._node.destroy_publisher(self._out)

    def _on_listener(self, change: Any) -> None:
        """Tell a new listener what is in use."""
        if change.current_count_change > 0 and self._in_use is not None:
            self.tell(self._in_use, WeightsStatus.ACTIVE)
