"""`ros2 service call`."""

from __future__ import annotations

import argparse
import sys
import time

import rclpy
import yaml

from ros2_wheels.graph_node import add_node_arguments, graph_node
from ros2_wheels.interfaces import import_interface
from ros2_wheels.message_values import fill_message

_POLL_S = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        'service_name', help="Name of the ROS service to call to (e.g. '/add_two_ints')"
    )
    parser.add_argument('service_type', help="Type of the ROS service (e.g. 'std_srvs/srv/Empty')")
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        'values',
        nargs='?',
        default='{}',
        help="Values to fill the service request with in YAML format (e.g. '{a: 1, b: 2}'), "
        'otherwise the service request will be published with default values',
    )
    group.add_argument('--stdin', action='store_true', help='Read values from standard input')
    parser.add_argument(
        '-r', '--rate', metavar='N', type=float, help='Repeat the call at a specific rate in Hz'
    )
    add_node_arguments(parser)


def main(args: argparse.Namespace) -> str | None:
    """Call a service once, or at a rate until interrupted."""
    if args.rate is not None and args.rate <= 0:
        return 'rate must be greater than zero'
    service_type = import_interface(args.service_type, 'srv')
    request = service_type.Request()
    fill_message(request, yaml.safe_load(sys.stdin.read() if args.stdin else args.values))
    with graph_node(args, discover=False) as node:
        client = node.create_client(service_type, args.service_name)
        if not client.wait_for_service(timeout_sec=_POLL_S):
            print('waiting for service to become available...')
            while not client.wait_for_service(timeout_sec=1.0):
                pass
        while True:
            print(f'requester: making request: {request!r}\n')
            begin = time.monotonic()
            future = client.call_async(request)
            rclpy.spin_until_future_complete(node, future)
            if future.result() is None:
                return f'Exception while calling service: {future.exception()!r}'
            print(f'response:\n{future.result()!r}\n')
            if args.rate is None:
                return None
            time.sleep(max(0.0, begin + 1 / args.rate - time.monotonic()))
