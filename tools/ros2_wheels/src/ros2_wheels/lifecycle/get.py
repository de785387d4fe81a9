"""`ros2 lifecycle get`."""

from __future__ import annotations

import argparse
from functools import partial

from lifecycle_msgs.srv import GetState

from ros2_wheels.graph_node import add_node_arguments, graph_node
from ros2_wheels.lifecycle_services import lifecycle_nodes
from ros2_wheels.param_services import absolute_node_name
from ros2_wheels.service_call import call


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_node_arguments(parser)
    parser.add_argument('node_name', nargs='?', help='Name of the ROS node; all without it')
    parser.add_argument(
        '--include-hidden-nodes', action='store_true', help='Consider hidden nodes as well'
    )


def main(args: argparse.Namespace) -> str | None:
    """Print the state of a node, or of all."""
    wanted = None if args.node_name is None else absolute_node_name(args.node_name)
    known = partial(lifecycle_nodes, include_hidden=True)
    with graph_node(args, until=lambda node: wanted is None or wanted in known(node)) as node:
        names = lifecycle_nodes(node, include_hidden=args.include_hidden_nodes)
        if wanted is not None:
            if wanted not in names:
                return 'Node not found'
            names = [wanted]
        for name in names:
            state = call(node, GetState, f'{name}/get_state', GetState.Request()).current_state
            prefix = '' if args.node_name is not None else f'{name}: '
            print(f'{prefix}{state.label} [{state.id}]')
    return None
