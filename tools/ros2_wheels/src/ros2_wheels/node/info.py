"""`ros2 node info`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from rclpy.action.graph import (
    get_action_client_names_and_types_by_node,
    get_action_server_names_and_types_by_node,
)
from rclpy.node import Node

from ros2_wheels.graph_node import add_node_arguments, full_node_names, graph_node, is_hidden

_Query = Callable[[Node, str, str], list[tuple[str, list[str]]]]
_SECTIONS: tuple[tuple[str, _Query], ...] = (
    ('Subscribers', lambda node, *name: node.get_subscriber_names_and_types_by_node(*name)),
    ('Publishers', lambda node, *name: node.get_publisher_names_and_types_by_node(*name)),
    ('Service Servers', lambda node, *name: node.get_service_names_and_types_by_node(*name)),
    ('Service Clients', lambda node, *name: node.get_client_names_and_types_by_node(*name)),
    ('Action Servers', get_action_server_names_and_types_by_node),
    ('Action Clients', get_action_client_names_and_types_by_node),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_node_arguments(parser)
    parser.add_argument('node_name', help='Node name to request information')
    parser.add_argument(
        '--include-hidden',
        action='store_true',
        help='Display hidden topics, services, and actions as well',
    )


def main(args: argparse.Namespace) -> str | None:
    """Print what a node publishes, subscribes, serves and calls."""
    with graph_node(args, until=lambda node: args.node_name in full_node_names(node)) as node:
        count = full_node_names(node).count(args.node_name)
        if count == 0:
            return f"Unable to find node '{args.node_name}'"
        if count > 1:
            print(
                f"There are {count} nodes in the graph with the exact name '{args.node_name}'. "
                'You are seeing information about only one of them.',
                file=sys.stderr,
            )
        namespace, _, name = args.node_name.rpartition('/')
        print(args.node_name)
        for title, query in _SECTIONS:
            _print_section(title, query(node, name, namespace or '/'), args.include_hidden)
    return None


def _print_section(title: str, found: list[tuple[str, Any]], include_hidden: bool) -> None:
    print(f'  {title}:')
    shown = [
        f'    {name}: {", ".join(types)}'
        for name, types in sorted(found)
        if include_hidden or not is_hidden(name)
    ]
    print('\n'.join(shown))
