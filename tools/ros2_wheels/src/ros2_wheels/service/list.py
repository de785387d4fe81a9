"""`ros2 service list`."""

from __future__ import annotations

import argparse

from ros2_wheels.graph_node import add_node_arguments, graph_node
from ros2_wheels.service_types import services


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_node_arguments(parser)
    parser.add_argument(
        '-t', '--show-types', action='store_true', help='Additionally show the service type'
    )
    parser.add_argument(
        '-c', '--count-services', action='store_true', help='Only display the number of services'
    )
    parser.add_argument(
        '--include-hidden-services', action='store_true', help='Consider hidden services as well'
    )


def main(args: argparse.Namespace) -> None:
    """Print the services."""
    with graph_node(args) as node:
        found = services(node, include_hidden=args.include_hidden_services)
    if args.count_services:
        print(len(found))
        return
    for name, types in found:
        print(f'{name} [{", ".join(types)}]' if args.show_types else name)
