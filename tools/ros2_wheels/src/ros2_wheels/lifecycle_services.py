"""Lifecycle nodes of the graph."""

from __future__ import annotations

from rclpy.node import Node

from ros2_wheels.graph_node import is_hidden
from ros2_wheels.service_types import services

_GET_STATE = 'lifecycle_msgs/srv/GetState'


def lifecycle_nodes(node: Node, *, include_hidden: bool = False) -> list[str]:
    """Return the full names of nodes that have a lifecycle, sorted."""
    found = services(node, include_hidden=True)
    names = sorted(
        name.removesuffix('/get_state')
        for name, types in found
        if name.endswith('/get_state') and _GET_STATE in types
    )
    return [name for name in names if include_hidden or not is_hidden(name)]
