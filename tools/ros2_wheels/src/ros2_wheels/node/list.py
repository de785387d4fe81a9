"""`ros2 node list`."""

from __future__ import annotations

import argparse
import sys

from ros2_wheels.graph_node import add_node_arguments, full_node_names, graph_node, is_hidden


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
    """Print the names of the nodes."""
    with graph_node(args) as node:
        names = [name for name in full_node_names(node) if args.all or not is_hidden(name)]
    if args.count_nodes:
        print(len(names))
        return
    if len(set(names)) < len(names):
        print(
            'WARNING: Be aware that there are nodes in the graph that share an exact name, which '
            'can have unintended side effects.',
            file=sys.stderr,
        )
    for name in names:
        print(name)
