"""`ros2 topic echo`."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import rclpy
from rclpy.task import Future

from ros2_wheels.graph_node import add_node_arguments, graph_node
from ros2_wheels.message_values import to_plain, to_yaml
from ros2_wheels.qos_options import add_qos_arguments, matching_subscription_qos
from ros2_wheels.topic_types import full_topic_name, has_topic, message_class

_TRUNCATE_LENGTH = 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_node_arguments(parser)
    parser.add_argument('topic_name', help="Name of the ROS topic to listen to (e.g. '/chatter')")
    parser.add_argument(
        'message_type', nargs='?', help="Type of the ROS message (e.g. 'std_msgs/msg/String')"
    )
    add_qos_arguments(parser, 'sensor_data')
    parser.add_argument(
        '--csv', action='store_true', help='Output all recursive fields separated by commas'
    )
    parser.add_argument(
        '--field', help="Echo a selected field of a message. Use '.' to select sub-fields."
    )
    parser.add_argument(
        '-f', '--full-length', action='store_true', help='Output arrays, bytes and text whole'
    )
    parser.add_argument(
        '-l',
        '--truncate-length',
        type=int,
        default=_TRUNCATE_LENGTH,
        help=f'The length to truncate arrays, bytes and text to (default: {_TRUNCATE_LENGTH})',
    )
    parser.add_argument('--no-arr', action='store_true', help="Don't print array fields")
    parser.add_argument('--no-str', action='store_true', help="Don't print string fields")
    parser.add_argument('--flow-style', action='store_true', help="Print in YAML's flow style")
    parser.add_argument('--raw', action='store_true', help='Echo the raw binary representation')
    parser.add_argument(
        '--filter',
        dest='filter_expr',
        help='Python expression on m (the message) that decides what is printed',
    )
    parser.add_argument(
        '--once', action='store_true', help='Print the first message received and then exit.'
    )
    parser.add_argument(
        '--timeout', metavar='N', type=float, help='Seconds after which to stop waiting'
    )


def main(args: argparse.Namespace) -> int | str | None:
    """Print messages until interrupted, once, or for a while."""
    fields = [] if args.field is None else [part for part in args.field.split('.') if part]
    if args.field is not None and not fields:
        return f"Invalid field value '{args.field}'"
    with graph_node(args, until=lambda node: has_topic(node, args.topic_name)) as node:
        message_type = message_class(node, args.topic_name, args.message_type)
        if message_type is None:
            print(f'WARNING: topic [{args.topic_name}] does not appear to be published yet')
            return 'Could not determine the type for the passed topic'
        topic = full_topic_name(node, args.topic_name)
        qos = matching_subscription_qos(node, topic, args)
        finished = Future()

        def on_message(message: Any) -> None:
            if finished.done():
                return
            value = _select(message, fields)
            if args.filter_expr and not eval(args.filter_expr, {'m': value}):
                return
            print(_shown(value, args), end='\n' if args.csv else '---\n')
            if args.once:
                finished.set_result(None)

        node.create_subscription(message_type, topic, on_message, qos, raw=args.raw)
        spin = partial(rclpy.spin_until_future_complete, node, finished)
        spin() if args.timeout is None else spin(timeout_sec=args.timeout)
    return None


def _select(message: Any, fields: list[str]) -> Any:
    for field in fields:
        if not hasattr(message, field):
            raise RuntimeError(
                f"Invalid field '{'.'.join(fields)}': '{type(message).__name__}' has no '{field}'"
            )
        message = getattr(message, field)
    return message


def _shown(value: Any, args: argparse.Namespace) -> str:
    """Return the text of a message, or of one of its fields."""
    options = {
        'truncate_length': None if args.full_length else args.truncate_length,
        'no_arr': args.no_arr,
        'no_str': args.no_str,
    }
    if not hasattr(value, 'get_fields_and_field_types'):
        return f'{value}\n'
    if args.csv:
        return ','.join(_flat(to_plain(value, **options)))
    return to_yaml(value, flow_style=args.flow_style, **options)


def _flat(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _flat(item)]
    if isinstance(value, list):
        return [text for item in value for text in _flat(item)]
    return [str(value)]
