"""Topics of the graph and their types."""

from __future__ import annotations

from typing import Any

import rclpy
from rclpy.exceptions import InvalidTopicNameException
from rclpy.expand_topic_name import expand_topic_name
from rclpy.node import Node
from rclpy.validate_full_topic_name import validate_full_topic_name

from ros2_wheels.graph_node import is_hidden
from ros2_wheels.interfaces import import_interface


def topics(node: Node, *, include_hidden: bool = False) -> list[tuple[str, list[str]]]:
    """Return (name, types) of the topics in the graph, by name."""
    return sorted(
        (name, types)
        for name, types in node.get_topic_names_and_types()
        if include_hidden or not is_hidden(name)
    )


def has_topic(node: Node, topic: str) -> bool:
    """Return True if the graph knows the topic."""
    return full_topic_name(node, topic) in dict(node.get_topic_names_and_types())


def full_topic_name(node: Node, topic: str) -> str:
    """Return the full name of a topic.

    Raises:
        RuntimeError: The name is not valid.
    """
    try:
        name: str = expand_topic_name(topic, node.get_name(), node.get_namespace())
        validate_full_topic_name(name)
    except (InvalidTopicNameException, ValueError) as error:
        raise RuntimeError(str(error)) from error
    return name


def message_class(node: Node, topic: str, type_name: str | None = None) -> Any | None:
    """Return the class of a topic's messages, None if the graph does not know it.

    Raises:
        RuntimeError: The topic has several types, or its type is not installed.
    """
    if type_name is not None:
        return import_interface(type_name, 'msg')
    name = full_topic_name(node, topic)
    types = dict(node.get_topic_names_and_types()).get(name, [])
    if len(types) > 1:
        raise RuntimeError(
            f"Cannot echo topic '{topic}', as it contains more than one type: [{', '.join(types)}]"
        )
    return import_interface(types[0], 'msg') if types else None


def wait_for_message_class(node: Node, topic: str) -> Any:
    """Return the class of a topic's messages, as soon as the graph knows it.

    Raises:
        RuntimeError: The topic has several types, or its type is not installed.
    """
    found = message_class(node, topic)
    if found is None:
        print(f'WARNING: topic [{topic}] does not appear to be published yet')
    while found is None:
        rclpy.spin_once(node, timeout_sec=0.1)
        found = message_class(node, topic)
    return found
