"""`ros2 param dump`."""

from __future__ import annotations

import argparse
from typing import Any

import yaml

from ros2_wheels.graph_node import add_node_arguments, graph_node
from ros2_wheels.param_services import (
    ParameterServices,
    absolute_node_name,
    has_node,
    python_value,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_node_arguments(parser)
    parser.add_argument('node_name', help='Name of the ROS node')
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
    """Print the parameters of a node as a parameter file."""
    name = absolute_node_name(args.node_name)
    tree: dict[str, Any] = {}
    with graph_node(args, until=lambda node: has_node(node, name), longest_s=args.timeout) as node:
        if not has_node(node, name):
            return 'Node not found'
        services = ParameterServices(node, name)
        names = services.names()
        for key, value in zip(names, services.values(names), strict=True):
            *folders, leaf = key.split('.')
            branch = tree
            for folder in folders:
                branch = branch.setdefault(folder, {})
            branch[leaf] = python_value(value)
    print(yaml.safe_dump({name: {'ros__parameters': tree}}, default_flow_style=False))
    return None
