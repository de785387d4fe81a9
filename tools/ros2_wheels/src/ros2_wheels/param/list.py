"""`ros2 param list`."""

from __future__ import annotations

import argparse
import re
import sys

from ros2_wheels.graph_node import add_node_arguments, full_node_names, graph_node, is_hidden
from ros2_wheels.param_services import ParameterServices, absolute_node_name, has_node

_TYPE_NAMES = (
    'not set',
    'boolean',
    'integer',
    'double',
    'string',
    'byte array',
    'boolean array',
    'integer array',
    'double array',
    'string array',
)  # by rcl_interfaces/msg/ParameterType


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_node_arguments(parser)
    parser.add_argument('node_name', nargs='?', help='Name of the ROS node')
    parser.add_argument('--filter', help='Only parameters matching the regex will be shown')
    parser.add_argument(
        '--include-hidden-nodes', action='store_true', help='Consider hidden nodes as well'
    )
    parser.add_argument(
        '--param-prefixes',
        nargs='+',
        default=[],
        help='Only list parameters with the provided prefixes',
    )
    parser.add_argument(
        '--param-type', action='store_true', help='Print parameter types with parameter names'
    )


def main(args: argparse.Namespace) -> str | None:
    """Print the parameters of a node, or of all."""
    wanted = None if args.node_name is None else absolute_node_name(args.node_name)
    with graph_node(args, until=lambda node: wanted is None or has_node(node, wanted)) as node:
        nodes = sorted(set(full_node_names(node)))
        nodes = [name for name in nodes if args.include_hidden_nodes or not is_hidden(name)]
        if wanted is not None:
            if wanted not in nodes:
                return 'Node not found'
            nodes = [wanted]
        for name in nodes:
            try:
                services = ParameterServices(node, name)
                found = services.names(args.param_prefixes)
            except RuntimeError as error:
                print(error, file=sys.stderr)
                continue
            if args.filter is not None:
                found = [item for item in found if re.match(args.filter, item)]
            if wanted is None and found:
                print(f'{name}:')
            types = services.types(found) if args.param_type else {}
            for item in found:
                suffix = f' (type: {_TYPE_NAMES[types[item]]})' if item in types else ''
                print(f'  {item}{suffix}')
    return None
