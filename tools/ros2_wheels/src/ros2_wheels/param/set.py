"""`ros2 param set`."""

from __future__ import annotations

import argparse

from rcl_interfaces.msg import Parameter
from rclpy.parameter import get_parameter_value

from ros2_wheels.graph_node import add_node_arguments, graph_node
from ros2_wheels.param_services import ParameterServices, absolute_node_name, has_node


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_node_arguments(parser)
    parser.add_argument('node_name', help='Name of the ROS node')
    parser.add_argument('parameter_name', help='Name of the parameter')
    parser.add_argument('value', help='Value of the parameter')
    parser.add_argument(
        '--include-hidden-nodes', action='store_true', help='Consider hidden nodes as well'
    )
    parser.add_argument(
        '--timeout',
        metavar='N',
        type=float,
        default=None,
        help='Wait for N seconds until node becomes available (default: a few seconds)',
    )


def main(args: argparse.Namespace) -> str | None:
    """Set a parameter; its type follows from the value by YAML's rules."""
    name = absolute_node_name(args.node_name)
    with graph_node(args, until=lambda node: has_node(node, name), longest_s=args.timeout) as node:
        if not has_node(node, name):
            return 'Node not found'
        parameter = Parameter(
            name=args.parameter_name, value=get_parameter_value(string_value=args.value)
        )
        result = ParameterServices(node, name).set(parameter)
    reason = f': {result.reason}' if result.reason else ''
    if not result.successful:
        return f'Setting parameter failed{reason}'
    print(f'Set parameter successful{reason}')
    return None
