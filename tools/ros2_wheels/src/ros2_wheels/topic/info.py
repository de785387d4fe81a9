"""`ros2 topic info`."""

from __future__ import annotations

import argparse

from ros2_wheels.graph_node import add_node_arguments, graph_node
from ros2_wheels.topic_types import has_topic, topics


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_node_arguments(parser)
    parser.add_argument('topic_name', help="Name of the ROS topic to get info (e.g. '/chatter')")
    parser.add_argument(
        '-v',
        '--verbose',
        action='store_true',
        help='Prints detailed information like the node name, node namespace, topic type, topic '
        'type hash, GUID, and QoS Profile of the publishers and subscribers to this topic',
    )


def main(args: argparse.Namespace) -> str | None:
    """Print type and endpoints of a topic."""
    with graph_node(args, until=lambda node: has_topic(node, args.topic_name)) as node:
        types = dict(topics(node, include_hidden=True)).get(args.topic_name)
        if types is None:
            return f"Unknown topic '{args.topic_name}'"
        end = '\n\n' if args.verbose else '\n'
        print(f'Type: {types[0] if len(types) == 1 else types}', end=end)
        print(f'Publisher count: {node.count_publishers(args.topic_name)}', end=end)
        if args.verbose:
            for endpoint in node.get_publishers_info_by_topic(args.topic_name):
                print(endpoint, end=end)
        print(f'Subscription count: {node.count_subscribers(args.topic_name)}', end=end)
        if args.verbose:
            for endpoint in node.get_subscriptions_info_by_topic(args.topic_name):
                print(endpoint, end=end)
    return None
