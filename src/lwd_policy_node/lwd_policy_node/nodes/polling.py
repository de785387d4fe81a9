"""Subscriptions that are read at the control tick instead of waking the executor.

A control loop answers at its ticks only, so a message between two ticks need not wake it: at 30 Hz
this halves the load of a node in Python. The order of reading is the loop's choice, and every tick
sees one consistent set of inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.subscription import Subscription


class NotWoken(CallbackGroup):
    """Keeps its subscriptions out of the executor's wait set."""

    def can_execute(self, entity: Any) -> bool:
        """Never by the executor."""
        return False

    def beginning_execution(self, entity: Any) -> bool:
        """Never by the executor."""
        return False

    def ending_execution(self, entity: Any) -> None:
        """Nothing to do."""


class PolledInputs:
    """Subscriptions of one node, read in the order they were added."""

    def __init__(self, node: Node) -> None:
        """Subscribe on `node`."""
        self._node = node
        self._group = NotWoken()
        self._inputs: list[tuple[Subscription, Callable[[Any], None], QoSProfile]] = []

    def add(
        self, kind: type, topic: str, callback: Callable[[Any], None], profile: QoSProfile
    ) -> None:
        """Read `topic` into `callback` at every `poll`."""
        subscription = self._node.create_subscription(
            kind,
            topic,
            callback,
            profile,
            callback_group=self._group,
            # QoS events share the reader's wake-up: they would wake us at every message.
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )
        self._inputs.append((subscription, callback, profile))

    def poll(self) -> None:
        """Hand everything that has arrived to the callbacks."""
        for subscription, callback, _ in self._inputs:
            with subscription.handle:
                while True:
                    taken = subscription.handle.take_message(subscription.msg_type, False)
                    if taken is None:
                        break
                    callback(taken[0])

    def incompatible(self) -> list[str]:
        """One sentence for each writer that cannot be heard because its QoS does not match."""
        found = []
        for subscription, _, profile in self._inputs:
            found += incompatible_writers(self._node, subscription.topic_name, profile)
        return found


def incompatible_writers(node: Node, topic: str, profile: QoSProfile) -> list[str]:
    """One sentence for each writer of `topic` (absolute) that a reader with `profile` cannot hear."""
    found = []
    for writer in node.get_publishers_info_by_topic(topic):
        match, reason = qos_check_compatible(writer.qos_profile, profile)
        if match == QoSCompatibility.ERROR:
            name = f'{writer.node_namespace.rstrip("/")}/{writer.node_name}'
            found.append(f'{topic} of {name}: {reason}')
    return found
