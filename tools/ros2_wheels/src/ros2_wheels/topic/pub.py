"""`ros2 topic pub`."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import rclpy
import yaml
from rclpy.node import Node

from ros2_wheels.graph_node import add_node_arguments, graph_node
from ros2_wheels.interfaces import import_interface
from ros2_wheels.message_values import fill_message
from ros2_wheels.qos_options import add_qos_arguments, chosen_qos

_POLL_S = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument('topic_name', help="Name of the ROS topic to publish to (e.g. '/chatter')")
    parser.add_argument('message_type', help="Type of the ROS message (e.g. 'std_msgs/String')")
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        'values',
        nargs='?',
        default='{}',
        help="Values to fill the message with in YAML format (e.g. 'data: Hello World'), "
        'otherwise the message will be published with default values',
    )
    group.add_argument('--stdin', action='store_true', help='Read values from standard input')
    parser.add_argument(
        '-r', '--rate', metavar='N', type=float, default=1.0, help='Publishing rate in Hz'
    )
    parser.add_argument(
        '-p', '--print', metavar='N', type=int, default=1, help='Only print every N-th message'
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument('-1', '--once', action='store_true', help='Publish one message and exit')
    group.add_argument(
        '-t', '--times', type=int, default=0, help='Publish this number of times and then exit'
    )
    parser.add_argument(
        '-w',
        '--wait-matching-subscriptions',
        type=int,
        default=None,
        help='Wait until finding the specified number of matching subscriptions. Defaults to 1 '
        'when using "-1"/"--once"/"--times", otherwise defaults to 0.',
    )
    parser.add_argument('--max-wait-time-secs', type=float, default=None, help='Longest such wait')
    parser.add_argument(
        '--keep-alive',
        metavar='N',
        type=float,
        default=0.1,
        help='Keep publishing node alive for N seconds after the last msg (default: 0.1)',
    )
    add_qos_arguments(parser, 'default')
    add_node_arguments(parser)


def main(args: argparse.Namespace) -> str | None:
    """Publish once, a number of times, or until interrupted."""
    if args.rate <= 0:
        return 'rate must be greater than zero'
    values = yaml.safe_load(sys.stdin.read() if args.stdin else args.values)
    if not isinstance(values, dict):
        return 'The passed value needs to be a dictionary in YAML format'
    message_type = import_interface(args.message_type, 'msg')
    message = message_type()
    stamps = fill_message(message, values)
    times = 1 if args.once else args.times
    wanted = args.wait_matching_subscriptions
    if wanted is None:
        wanted = int(times != 0)
    with graph_node(args, discover=False) as node:
        publisher = node.create_publisher(message_type, args.topic_name, chosen_qos(args))
        complaint = _wait_for_subscriptions(node, publisher, wanted, args.max_wait_time_secs)
        if complaint:
            return complaint
        print('publisher: beginning loop')
        count = 0
        due = time.monotonic()
        while times == 0 or count < times:
            now = node.get_clock().now().to_msg()
            for stamp in stamps:
                stamp(now)
            count += 1
            if args.print and count % args.print == 0:
                print(f'publishing #{count}: {message!r}\n')
            publisher.publish(message)
            due += 1 / args.rate
            while count != times and time.monotonic() < due:
                rclpy.spin_once(node, timeout_sec=max(0.0, due - time.monotonic()))
        time.sleep(args.keep_alive)  # the last message is on its way
    return None


def _wait_for_subscriptions(
    node: Node, publisher: Any, wanted: int, longest_s: float | None
) -> str | None:
    """Wait for matching subscriptions; return what to complain of, if they do not come."""
    start = time.monotonic()
    told = start - 1
    while publisher.get_subscription_count() < wanted:
        now = time.monotonic()
        if longest_s is not None and now - start >= longest_s:
            return (
                f'Timed out waiting for subscribers: Expected {wanted} subcribers but only got '
                f'{publisher.get_subscription_count()} subscribers'
            )
        if now - told >= 1:
            print(f'Waiting for at least {wanted} matching subscription(s)...')
            told = now
        rclpy.spin_once(node, timeout_sec=_POLL_S)
    return None
