"""`ros2 lifecycle set`."""

from __future__ import annotations

import argparse
from functools import partial

from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions

from ros2_wheels.graph_node import add_node_arguments, graph_node
from ros2_wheels.lifecycle_services import lifecycle_nodes
from ros2_wheels.param_services import absolute_node_name
from ros2_wheels.service_call import call


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_node_arguments(parser)
    parser.add_argument('node_name', help='Name of the ROS node')
    parser.add_argument('transition', help='The lifecycle transition')
    parser.add_argument(
        '--include-hidden-nodes', action='store_true', help='Consider hidden nodes as well'
    )


def main(args: argparse.Namespace) -> str | None:
    """Trigger a transition, given by label or id."""
    name = absolute_node_name(args.node_name)
    known = partial(lifecycle_nodes, include_hidden=True)
    with graph_node(args, until=lambda node: name in known(node)) as node:
        if name not in lifecycle_nodes(node, include_hidden=args.include_hidden_nodes):
            return 'Node not found'
        found = call(
            node,
            GetAvailableTransitions,
            f'{name}/get_available_transitions',
            GetAvailableTransitions.Request(),
        ).available_transitions
        offered = [item.transition for item in found]
        chosen = [t for t in offered if args.transition in (t.label, str(t.id))]
        if not chosen:
            listed = ''.join(f'\n- {t.label} [{t.id}]' for t in offered)
            return f'Unknown transition requested, available ones are:{listed}'
        request = ChangeState.Request(transition=chosen[0])
        response = call(node, ChangeState, f'{name}/change_state', request)
    if not response.success:
        return 'Transitioning failed'
    print('Transitioning successful')
    return None
