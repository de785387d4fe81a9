"""Ask the policy's process whether it lives, in a way that it answers however busy its Python is.

A heartbeat from a Python thread waits for the interpreter's lock, and whoever holds that may wait for a core. A
reliable message is acknowledged by the middleware's own threads, so an acknowledged question proves that the
process is neither stopped nor gone. Nobody ever reads the question.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.duration import Duration
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from std_msgs.msg import Empty

from lwd_policy_node.nodes import qos

TOPIC = 'policy/_alive_question'  # hidden: another reader would have to acknowledge, too
_AT_ONCE = Duration(nanoseconds=0)


class PolicyProbe:
    """The side that asks: one question at a time."""

    def __init__(self, node: Node, answered: Callable[[float], None]) -> None:
        """Ask on behalf of `node`; `answered` is told when an answered question was asked, s of `time.monotonic`."""
        self._out = node.create_publisher(Empty, TOPIC, qos.ALIVE_QUESTION)
        self._answered = answered
        self._asked_s: float | None = None
        self._question = Empty()
        self._possible = True

    def look(self) -> None:
        """See whether there is an answer, and ask again."""
        if not self._possible:
            return
        if self._asked_s is not None:
            try:
                if not self._out.wait_for_all_acked(_AT_ONCE):
                    return
            except rclpy_implementation.RCLError:
                self._possible = False  # a middleware that does not tell: the heartbeat must do
                return
            self._answered(self._asked_s)
        self._asked_s = None
        if self._out.get_subscription_count():
            self._asked_s = time.monotonic()
            self._out.publish(self._question)
