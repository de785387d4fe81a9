"""One call of a service."""

from __future__ import annotations

from typing import Any

import rclpy
from rclpy.node import Node

_TIMEOUT_S = 5.0


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
