"""Calls of a node's parameter services."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    ListParameters,
    SetParameters,
)
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

from ros2_wheels.graph_node import full_node_names
from ros2_wheels.service_call import call


def absolute_node_name(name: str) -> str:
    """Return the name with a slash before it."""
    return name if name.startswith('/') else f'/{name}'


def has_node(node: Node, name: str) -> bool:
    """Return True if the graph knows a node of that full name."""
    return name in full_node_names(node)


class ParameterServices:
    """The parameter services of one node.

    Raises:
        RuntimeError: A service does not come or does not answer.
    """

    def __init__(self, node: Node, name: str) -> None:
        self._node = node
        self._name = name

    def _call(self, service_type: Any, service: str, **fields: Any) -> Any:
        request = service_type.Request(**fields)
        return call(self._node, service_type, f'{self._name}/{service}', request)

    def names(self, prefixes: list[str] | None = None) -> list[str]:
        """Return the names of the parameters, sorted."""
        response = self._call(ListParameters, 'list_parameters', prefixes=prefixes or [])
        return sorted(response.result.names)

    def values(self, names: list[str]) -> list[ParameterValue]:
        """Return the values of parameters."""
        if not names:
            return []
        return list(self._call(GetParameters, 'get_parameters', names=names).values)

    def types(self, names: list[str]) -> dict[str, int]:
        """Return name -> type of parameters."""
        if not names:
            return {}
        response = self._call(DescribeParameters, 'describe_parameters', names=names)
        return {descriptor.name: descriptor.type for descriptor in response.descriptors}

    def set(self, parameter: Any) -> Any:
        """Set a parameter and return the result message."""
        return self._call(SetParameters, 'set_parameters', parameters=[parameter]).results[0]


def python_value(value: ParameterValue) -> Any:
    """Return the value of a parameter as bool, int, float, str, a list of one, or None."""
    plain = parameter_value_to_python(value)
    return list(plain) if hasattr(plain, '__iter__') and not isinstance(plain, str) else plain
