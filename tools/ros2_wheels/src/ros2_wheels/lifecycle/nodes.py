"""`ros2 lifecycle nodes`."""

from __future__ import annotations

import argparse

from ros2_wheels.graph_node import add_node_arguments, graph_node
from ros2_wheels.lifecycle_services import lifecycle_nodes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_node_arguments(parser)
    parser.add_argument(
        '-a', '--all', action='store_true', help='Display all nodes even hidden ones'
    )
    parser.add_argument(
        '-c', '--count-nodes', action='store_true', help='Only display the number of nodes'
    )


def main(args: argparse.Namespace) -> None:
    """Print the nodes that have a lifecycle."""
    with graph_node(args) as node:
        names = lifecycle_nodes(node, include_hidden=args.all)
    print(len(names) if args.count_nodes else '\n'.join(names))
