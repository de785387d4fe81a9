"""`ros2 param get`."""

from __future__ import annotations

import argparse

from rcl_interfaces.msg import ParameterType

from ros2_wheels.graph_node import add_node_arguments, graph_node
from ros2_wheels.param_services import (
    ParameterServices,
    absolute_node_name,
    has_node,
    python_value,
)

_LABELS = {
    ParameterType.PARAMETER_BOOL: 'Boolean value is:',
    ParameterType.PARAMETER_INTEGER: 'Integer value is:',
    ParameterType.PARAMETER_DOUBLE: 'Double value is:',
    ParameterType.PARAMETER_STRING: 'String value is:',
    ParameterType.PARAMETER_BYTE_ARRAY: 'Byte values are:',
    ParameterType.PARAMETER_BOOL_ARRAY: 'Boolean values are:',
    ParameterType.PARAMETER_INTEGER_ARRAY: 'Integer values are:',
    ParameterType.PARAMETER_DOUBLE_ARRAY: 'Double values are:',
    ParameterType.PARAMETER_STRING_ARRAY: 'String values are:',
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_node_arguments(parser)
    parser.add_argument('node_name', help='Name of the ROS node')
    parser.add_argument('parameter_name', help='Name of the parameter')
    parser.add_argument(
        '--include-hidden-nodes', action='store_true', help='Consider hidden nodes as well'
    )
    parser.add_argument('--hide-type', action='store_true', help='Hide the type information')
    parser.add_argument(
        '--timeout',
        metavar='N',
        type=float,
        default=None,
        help='Wait for N seconds until node becomes available (default: a few seconds)',
    )


def main(args: argparse.Namespace) -> str | None:
    """Print the value of a parameter."""
    name = absolute_node_name(args.node_name)
    with graph_node(args, until=lambda node: has_node(node, name), longest_s=args.timeout) as node:
        if not has_node(node, name):
            return 'Node not found'
        values = ParameterServices(node, name).values([args.parameter_name])
    if not values:
        return 'Parameter not set'
    if values[0].type not in _LABELS:
        print('Parameter not set.')
        return None
    value = python_value(values[0])
    print(value if args.hide_type else f'{_LABELS[values[0].type]} {value}')
    return None
