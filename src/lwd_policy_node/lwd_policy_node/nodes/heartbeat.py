"""Tell the arbiter several times per control period that this process lives and stands behind its plan.

A thread of its own: the executor may be busy with an image, and the inference with a plan, but neither is
dead. Stopped or killed, nobody beats, and the arbiter holds (`control.heartbeat`).
"""

from __future__ import annotations

import threading

from rclpy.node import Node
from std_msgs.msg import Empty

from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.policy_probe import TOPIC
from lwd_policy_node.nodes.polling import PolledInputs
from lwd_policy_node.nodes.realtime import (
    claim_realtime_for_middleware,
    claim_realtime_for_this_thread,
)
from lwd_policy_node.nodes.threads import start_thread

BEATS_PER_PERIOD = 3


class HeartbeatThread:
    """Beats on `policy/alive` from `start` to `stop`."""

    def __init__(self, node: Node, period_s: float, priority: int) -> None:
        """Beat on behalf of `node`.

        Args:
            node: whose namespace it is.
            period_s: control period.
            priority: SCHED_FIFO priority of the thread and the middleware's, where the system permits it; 0 = ordinary.
        """
        self._node = node
        self._questions = PolledInputs(node)
        self._interval_s = period_s / BEATS_PER_PERIOD
        self._priority = priority
        self._out = node.create_publisher(Empty, 'policy/alive', qos.HEARTBEAT)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Beat, and acknowledge the arbiter's questions, from now on."""
        self._questions.add(Empty, TOPIC, lambda _: None, qos.ALIVE_QUESTION)
        if self._priority:
            claim_realtime_for_middleware(self._priority)
        self._stopping.clear()
        self._thread = start_thread('heartbeat', self._beat, self._stopping.is_set)

    def stop(self) -> None:
        """Beat no more; harmless when it does not."""
        self._questions.close()
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
            self._thread = None

    def close(self) -> None:
        """Stop, and withdraw the topic."""
        self.stop()
        self._node.destroy_publisher(self._out)

    def _beat(self) -> None:
        if self._priority and (refused := claim_realtime_for_this_thread(self._priority)):
            self._node.get_logger().warning(f'heartbeat: {refused}', once=True)
        message = Empty()
        while not self._stopping.wait(self._interval_s):
            self._out.publish(message)
