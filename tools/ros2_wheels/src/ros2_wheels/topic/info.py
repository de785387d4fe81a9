"""`ros2 topic info`."""

from __future__ import annotations

import argparse

from rclpy.node import Node

from ros2_wheels.graph_node import add_node_arguments, graph_node
from ros2_wheels.topic_types import has_topic, topics

_UNNAMED = '_NODE_NAME_UNKNOWN_'  # what rmw says while an endpoint's node is not discovered


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
    known = _has_named_topic if args.verbose else has_topic
    with graph_node(args, until=lambda node: known(node, args.topic_name)) as node:
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


def _has_named_topic(node: Node, topic: str) -> bool:
    """Tell whether the topic and the node of each of its endpoints are known.

    Endpoints come with discovery, the names of their nodes later, in a message of their own.
    """
    if not has_topic(node, topic):
        return False
    endpoints = [
        *node.get_publishers_info_by_topic(topic),
        *node.get_subscriptions_info_by_topic(topic),
    ]
    return all(endpoint.node_name != _UNNAMED for endpoint in endpoints)
