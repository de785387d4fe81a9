"""`ros2 service type`."""

from __future__ import annotations

import argparse

from rclpy.node import Node

from ros2_wheels.graph_node import add_node_arguments, graph_node
from ros2_wheels.service_types import services


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_node_arguments(parser)
    parser.add_argument('service_name', help='Name of the ROS service to get type')


def main(args: argparse.Namespace) -> int:
    """Print the type of a service; 1 if there is no such service."""
    with graph_node(args, until=lambda node: args.service_name in _types(node)) as node:
        types = _types(node).get(args.service_name)
    if types is None:
        return 1
    print(*types, sep='\n')
    return 0


def _types(node: Node) -> dict[str, list[str]]:
    return dict(services(node, include_hidden=True))
