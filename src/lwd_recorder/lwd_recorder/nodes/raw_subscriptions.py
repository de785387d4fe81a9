"""Takes serialized messages from many topics at a steady beat.

An executor builds its wait set anew for every message: with a dozen topics that costs several times what the
recording costs. These subscriptions are left out of the executor and drained together at every beat; the
middleware keeps the messages meanwhile (a topic's depth covers far more than one beat).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from lwd_policy_node.nodes.polling import NotWoken
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.subscription import Subscription
from rosgraph_msgs.msg import Clock

from lwd_recorder.nodes import qos
from lwd_recorder.recording import RecordedTopic


class RawSubscriptions:
    """One raw subscription a topic, polled by `drain`."""

    def __init__(self, node: Node, topics: Sequence[RecordedTopic], first: int) -> None:
        """Subscribe.

        Args:
            node: owner.
            topics: what to subscribe to.
            first: index of the topic that is taken before all others: what it says decides where they go.
        """
        group = NotWoken()
        self._subscriptions: list[Subscription] = [
            node.create_subscription(
                message_class(topic.spec.type_name),
                topic.name,
                lambda data: None,
                qos.recording(topic.spec),
                raw=True,
                callback_group=group,
                event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
            )
            for topic in topics
        ]
        self._counted = [not topic.spec.shared for topic in topics]
        self._sequence = [0] * len(topics)
        self._order = sorted(range(len(topics)), key=lambda index: index != first)

    def drain(
        self,
        take: Callable[[int, bytes], None],
        lost: Callable[[int, int], None],
        most: int = 1000,
    ) -> None:
        """Take everything that has arrived.

        Args:
            take: called with (topic's index, serialized message).
            lost: called with (topic's index, count) where the writer's sequence numbers have a gap.
                Topics that several nodes write have no such numbers.
            most: messages of one topic in one call, so that a flood does not starve the others.
        """
        for index in self._order:
            subscription = self._subscriptions[index]
            handle = subscription.handle
            with handle:
                for _ in range(most):
                    taken = handle.take_message(subscription.msg_type, True)
                    if taken is None:
                        break
                    data, information = taken
                    if self._counted[index]:
                        sequence = information.get('publication_sequence_number') or 0
                        last = self._sequence[index]
                        if last and sequence > last + 1:
                            lost(index, sequence - last - 1)
                        self._sequence[index] = sequence
                    take(index, data)


class PolledClock:
    """Reads /clock at the beat, where simulated time is in use, instead of at its every message."""

    def __init__(self, node: Node) -> None:
        """Take the clock's subscription of a node out of the executor."""
        self._subscriptions = [
            one for one in node.subscriptions if one.msg_type is Clock and not one.raw
        ]
        for subscription in self._subscriptions:
            subscription.callback_group = NotWoken()

    def poll(self) -> None:
        """Set the node's clock to the newest message, if there is one."""
        for subscription in self._subscriptions:
            with subscription.handle:
                taken = subscription.handle.take_message(subscription.msg_type, False)
            if taken is not None:
                subscription.callback(taken[0])


def message_class(type_name: str) -> Any:
    """Import a message's class, e.g. sensor_msgs/msg/JointState."""
    package, _, name = type_name.split('/')
    return getattr(importlib.import_module(f'{package}.msg'), name)
