"""Services of the graph and their types."""

from __future__ import annotations

from rclpy.node import Node

from ros2_wheels.graph_node import is_hidden


def services(node: Node, *, include_hidden: bool = False) -> list[tuple[str, list[str]]]:
    """Return (name, types) of the services in the graph, by name."""
    return sorted(
        (name, types)
        for name, types in node.get_service_names_and_types()
        if include_hidden or not is_hidden(name)
    )
