"""`ros2 topic list`."""

from __future__ import annotations

import argparse

from ros2_wheels.graph_node import add_node_arguments, graph_node
from ros2_wheels.topic_types import topics


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_node_arguments(parser)
    parser.add_argument(
        '-t', '--show-types', action='store_true', help='Additionally show the topic type'
    )
    parser.add_argument(
        '-c',
        '--count-topics',
        action='store_true',
        help='Only display the number of topics discovered',
    )
    parser.add_argument(
        '--include-hidden-topics', action='store_true', help='Consider hidden topics as well'
    )
    parser.add_argument(
        '-v', '--verbose', action='store_true', help='List full details about each topic'
    )


def main(args: argparse.Namespace) -> None:
    """Print the topics."""
    with graph_node(args) as node:
        found = topics(node, include_hidden=args.include_hidden_topics)
        if args.count_topics:
            print(len(found))
        elif args.verbose:
            counts = {
                'Published': {name: node.count_publishers(name) for name, _ in found},
                'Subscribed': {name: node.count_subscribers(name) for name, _ in found},
            }
            for title, count in counts.items():
                _print_details(title, found, count)
        else:
            for name, types in found:
                print(f'{name} [{", ".join(types)}]' if args.show_types else name)


def _print_details(title: str, found: list[tuple[str, list[str]]], count: dict[str, int]) -> None:
    role = 'publisher' if title == 'Published' else 'subscriber'
    print(f'{title} topics:')
    for name, types in found:
        if count[name]:
            plural = 's' if count[name] > 1 else ''
            print(f' * {name} [{", ".join(types)}] {count[name]} {role}{plural}')
    print()
