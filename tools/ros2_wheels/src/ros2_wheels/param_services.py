"""Calls of a node's parameter services."""

from __future__ import annotations

from typing import Any

import rclpy
from rcl_interfaces.msg import ParameterValue
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient

from ros2_wheels.graph_node import full_node_names

_SERVICES_S = 5.0


def absolute_node_name(name: str) -> str:
    """Return the name with a slash before it."""
    return name if name.startswith('/') else f'/{name}'


def has_node(node: Node, name: str) -> bool:
    """Return True if the graph knows a node of that full name."""
    return name in full_node_names(node)


class ParameterServices:
    """The parameter services of one node.

    Raises:
        RuntimeError: The services do not come, or a call fails.
    """

    def __init__(self, node: Node, name: str) -> None:
        self._node = node
        self._name = name
        self._client = AsyncParameterClient(node, name)
        if not self._client.wait_for_services(timeout_sec=_SERVICES_S):
            raise RuntimeError(
                f'Wait for service timed out waiting for parameter services for node {name}'
            )

    def _result(self, future: Any) -> Any:
        rclpy.spin_until_future_complete(self._node, future)
        if future.result() is None:
            raise RuntimeError(
                f'Exception while calling service of node {self._name}: {future.exception()}'
            )
        return future.result()

    def names(self, prefixes: list[str] | None = None) -> list[str]:
        """Return the names of the parameters, sorted."""
        return sorted(self._result(self._client.list_parameters(prefixes=prefixes)).result.names)

    def values(self, names: list[str]) -> list[ParameterValue]:
        """Return the values of parameters."""
        return list(self._result(self._client.get_parameters(names)).values) if names else []

    def types(self, names: list[str]) -> dict[str, int]:
        """Return name -> type of parameters."""
        if not names:
            return {}
        descriptors = self._result(self._client.describe_parameters(names)).descriptors
        return {descriptor.name: descriptor.type for descriptor in descriptors}

    def set(self, parameter: Any) -> Any:
        """Set a parameter and return the result message."""
        return self._result(self._client.set_parameters([parameter])).results[0]


def python_value(value: ParameterValue) -> Any:
    """Return the value of a parameter as bool, int, float, str, a list of one, or None."""
    plain = parameter_value_to_python(value)
    return list(plain) if hasattr(plain, '__iter__') and not isinstance(plain, str) else plain
