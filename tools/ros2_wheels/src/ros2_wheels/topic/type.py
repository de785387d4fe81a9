"""`ros2 topic type`."""

from __future__ import annotations

import argparse

from ros2_wheels.graph_node import add_node_arguments, graph_node
from ros2_wheels.topic_types import has_topic, topics


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_node_arguments(parser)
    parser.add_argument('topic_name', help="Name of the ROS topic to get type (e.g. '/chatter')")


def main(args: argparse.Namespace) -> int:
    """Print the type of a topic; 1 if there is no such topic."""
    with graph_node(args, until=lambda node: has_topic(node, args.topic_name)) as node:
        types = dict(topics(node, include_hidden=True)).get(args.topic_name)
    if types is None:
        return 1
    print(*types, sep='\n')
    return 0
