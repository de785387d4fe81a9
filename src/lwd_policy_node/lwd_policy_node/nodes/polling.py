"""Subscriptions that are read at the control tick instead of waking the executor.

A control loop answers at its ticks only, so a message between two ticks need not wake it: at 30 Hz
this halves the load of a node in Python. The order of reading is the loop's choice, and every tick
sees one consistent set of inputs.
"""

from __future__ import annotations

import time
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
        self._inputs: list[tuple[Subscription, Callable[[Any, Any], None], QoSProfile]] = []

    def add(
        self, kind: type, topic: str, callback: Callable[[Any], None], profile: QoSProfile
    ) -> None:
        """Read `topic` into `callback` at every `poll`."""
        self._add(kind, topic, lambda message, _: callback(message), profile)

    def add_arrivals(
        self, kind: type, topic: str, callback: Callable[[float], None], profile: QoSProfile
    ) -> None:
        """Tell `callback` at every `poll` when messages of `topic` arrived, s of `time.monotonic`.

        Arrival is when the middleware's own thread had the message, however late it is read.
        """

        self._add(
            kind, topic, lambda _, info: callback(arrival_s(info['received_timestamp'])), profile
        )

    def _add(
        self, kind: type, topic: str, callback: Callable[[Any, Any], None], profile: QoSProfile
    ) -> None:
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
                    callback(*taken)

    def close(self) -> None:
        """Unsubscribe."""
        for subscription, _, _ in self._inputs:
            self._node.destroy_subscription(subscription)
        self._inputs.clear()

    def incompatible(self) -> list[str]:
        """One sentence for each writer that cannot be heard because its QoS does not match."""
        found = []
        for subscription, _, profile in self._inputs:
            found += incompatible_writers(self._node, subscription.topic_name, profile)
        return found


def arrival_s(received_ns: int) -> float:
    """When a message came, s of `time.monotonic`, that the middleware received at `received_ns` of the wall clock.

    Some middlewares (rmw_cyclonedds) leave it at 0, which means unknown: the message came as it is read.
    """
    age_s = (time.time_ns() - received_ns) * 1e-9 if received_ns else 0.0
    return time.monotonic() - max(age_s, 0.0)


def incompatible_writers(node: Node, topic: str, profile: QoSProfile) -> list[str]:
    """One sentence for each writer of `topic` (absolute) that a reader with `profile` cannot hear."""
    found = []
    for writer in node.get_publishers_info_by_topic(topic):
        match, reason = qos_check_compatible(writer.qos_profile, profile)
        if match == QoSCompatibility.ERROR:
            name = f'{writer.node_namespace.rstrip("/")}/{writer.node_name}'
            found.append(f'{topic} of {name}: {reason}')
    return found
