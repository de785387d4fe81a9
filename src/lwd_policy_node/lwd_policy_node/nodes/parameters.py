"""Declare a node's parameters once, in a table of name, type, default, description and range.

A node states its table as a tuple of `Parameter` and calls `declare(node, TABLE)`; the values come
back as a mapping. `ros2 param describe` then shows what the table says, and a value out of range
is refused at start and at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from lwd_policy_node.nodes.process import StartError

_ROS_TYPES: dict[Any, RosParameter.Type] = {
    bool: RosParameter.Type.BOOL,
    int: RosParameter.Type.INTEGER,
    float: RosParameter.Type.DOUBLE,
    str: RosParameter.Type.STRING,
    list[str]: RosParameter.Type.STRING_ARRAY,
    list[int]: RosParameter.Type.INTEGER_ARRAY,
    list[float]: RosParameter.Type.DOUBLE_ARRAY,
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row of a parameter table.

    Attributes:
        name: ROS parameter name.
        type: bool, int, float, str, list[str], list[int] or list[float].
        default: value when none is given.
        description: one sentence with the unit.
        low, high: inclusive range of a number; None = unbounded.
        choices: the only values allowed, for strings; empty = any.
        read_only: cannot be changed after start.
    """

    name: str
    type: Any
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = True

    def descriptor(self) -> ParameterDescriptor:
        """The row as ROS describes parameters."""
        described = ParameterDescriptor(
            name=self.name,
            type=_ROS_TYPES[self.type].value,
            description=self.description,
            read_only=self.read_only,
        )
        if self.choices:
            described.additional_constraints = 'one of: ' + ', '.join(self.choices)
        if self.low is None and self.high is None:
            return described
        if self.type is int:
            low = -(2**63) if self.low is None else int(self.low)
            high = 2**63 - 1 if self.high is None else int(self.high)
            described.integer_range = [IntegerRange(from_value=low, to_value=high, step=0)]
        else:
            low_f = float('-inf') if self.low is None else float(self.low)
            high_f = float('inf') if self.high is None else float(self.high)
            described.floating_point_range = [
                FloatingPointRange(from_value=low_f, to_value=high_f, step=0.0)
            ]
        return described


def declare(node: Node, table: tuple[Parameter, ...]) -> dict[str, Any]:
    """Declare every row on `node` and return name -> value.

    Raises:
        rclpy.exceptions.InvalidParameterTypeException: a given value has another type.
        rclpy.exceptions.InvalidParameterValueException: a given value is out of range or not
            among the choices.
    """
    values: dict[str, Any] = {}
    for row in table:
        if row.default == []:
            value = _declare_empty(node, row)
        else:
            default = RosParameter(row.name, _ROS_TYPES[row.type], row.default).value
            value = node.declare_parameter(row.name, default, row.descriptor()).value
        values[row.name] = list(value) if isinstance(row.type, type(list[str])) else value
        if row.choices and value not in row.choices:
            raise InvalidParameterValueException(
                row.name, value, f'known values: {", ".join(row.choices)}'
            )
    return values


def _declare_empty(node: Node, row: Parameter) -> Any:
    """Declare a list that is empty by default, which rclpy takes for one of bytes: say its type first."""
    kind = _ROS_TYPES[row.type]
    descriptor = row.descriptor()
    descriptor.read_only = False
    if node.declare_parameter(row.name, kind, descriptor).value is None:
        node.set_parameters([RosParameter(row.name, kind, [])])
    node.set_descriptor(row.name, row.descriptor())
    return node.get_parameter(row.name).value


def robot_of(node: Node, robot_id: str) -> str:
    """Return the robot's id: the parameter, or else the node's namespace.

    Raises:
        StartError: neither is given.
    """
    found = robot_id or node.get_namespace().strip('/')
    if not found:
        raise StartError(
            'no robot_id: start the node in the namespace /<robot_id>, or set robot_id'
        )
    return found


def on_change(
    node: Node, table: tuple[Parameter, ...], apply: Callable[[Mapping[str, Any]], None]
) -> None:
    """Call `apply(changed values)` when writable parameters of `table` are set at run time."""
    choices = {row.name: row.choices for row in table}

    def changed(parameters: list[RosParameter]) -> SetParametersResult:
        values = {item.name: item.value for item in parameters if item.name in choices}
        for name, value in values.items():
            if choices[name] and value not in choices[name]:
                reason = f'{name}={value!r} is unknown; one of: {", ".join(choices[name])}'
                return SetParametersResult(successful=False, reason=reason)
        if values:
            apply(values)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(changed)
