"""Declares a node's parameters from one table: name, default, description, range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; read once at the node's start."""

    name: str
    """Its name."""
    default: Any
    """Its default, which fixes its type."""
    description: str
    """What it means, with its unit."""
    lowest: float | None = None
    """Smallest value, for numbers."""
    highest: float | None = None
    """Largest value, for numbers."""


def declare(node: Node, table: Sequence[Parameter]) -> dict[str, Any]:
    """Declare a table's parameters read-only and return their values by name."""
    values = {}
    for parameter in table:
        descriptor = ParameterDescriptor(
            name=parameter.name, description=parameter.description, read_only=True
        )
        if parameter.lowest is not None and parameter.highest is not None:
            if isinstance(parameter.default, float):
                span = FloatingPointRange(
                    from_value=float(parameter.lowest), to_value=float(parameter.highest)
                )
                descriptor.floating_point_range = [span]
            else:
                descriptor.integer_range = [
                    IntegerRange(
                        from_value=int(parameter.lowest), to_value=int(parameter.highest), step=1
                    )
                ]
        values[parameter.name] = node.declare_parameter(
            parameter.name, parameter.default, descriptor
        ).value
    return values


def robot_of(node: Node, robot_id: str) -> str:
    """Return the robot's id: the parameter, or else the node's namespace.

    Raises:
        ValueError: neither is given.
    """
    found = robot_id or node.get_namespace().strip('/')
    if not found:
        raise ValueError(
            'no robot_id: start the node in the namespace /<robot_id>, or set robot_id'
        )
    return found
