"""Lifecycle nodes of the graph and calls of their services."""

from __future__ import annotations

from typing import Any

import rclpy
from rclpy.node import Node

_TIMEOUT_S = 5.0
_GET_STATE = 'lifecycle_msgs/srv/GetState'


def lifecycle_nodes(node: Node, *, include_hidden: bool = False) -> list[str]:
    """Return the full names of nodes that have a lifecycle, sorted."""
    from ros2_wheels.graph_node import is_hidden
    from ros2_wheels.service_types import services

    found = services(node, include_hidden=True)
    names = sorted(
        name.removesuffix('/get_state')
        for name, types in found
        if name.endswith('/get_state') and _GET_STATE in types
    )
    return [name for name in names if include_hidden or not is_hidden(name)]


def call(node: Node, service_type: Any, service_name: str, request: Any) -> Any:
    """Call a service and return its response.

    Raises:
        RuntimeError: The service does not come or does not answer.
    """
    client = node.create_client(service_type, service_name)
    if not client.wait_for_service(timeout_sec=_TIMEOUT_S):
        raise RuntimeError(f"the service '{service_name}' did not become available")
    future = client.call_async(request)
    rclpy.spin_until_future_complete(node, future, timeout_sec=_TIMEOUT_S)
    if not future.done():
        raise RuntimeError(f"the service '{service_name}' did not answer")
    return future.result()
