"""`ros2 topic hz`."""

from __future__ import annotations

import argparse
import math
from collections import deque
from typing import Any

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.qos import qos_profile_sensor_data

from ros2_wheels.graph_node import add_node_arguments, graph_node
from ros2_wheels.topic_types import full_topic_name, wait_for_message_class

_WINDOW = 10000
_REPORT_NS = 1_000_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument('topic_name', help="Name of the ROS topic to listen to (e.g. '/chatter')")
    parser.add_argument(
        '-w',
        '--window',
        type=int,
        default=_WINDOW,
        metavar='WINDOW',
        help=f'window size, in # of messages, for calculating rate (default: {_WINDOW})',
    )
    parser.add_argument(
        '--filter',
        dest='filter_expr',
        metavar='EXPR',
        help='only measure messages matching the specified Python expression',
    )
    parser.add_argument('--wall-time', action='store_true', help='calculates rate using wall time')
    add_node_arguments(parser)


def main(args: argparse.Namespace) -> None:
    """Print the rate about once a second until interrupted."""
    with graph_node(args) as node:
        message_type = wait_for_message_class(node, args.topic_name)
        topic = full_topic_name(node, args.topic_name)
        clock = Clock(clock_type=ClockType.SYSTEM_TIME) if args.wall_time else node.get_clock()
        rate = _Rate(args.window)

        def on_message(message: Any) -> None:
            if args.filter_expr and not eval(args.filter_expr, {'m': message}):
                return
            report = rate.add(clock.now().nanoseconds)
            if report is not None:
                print(report)

        qos = qos_profile_sensor_data
        # Without a filter nothing is deserialized: large messages would slow the count.
        raw = not args.filter_expr
        node.create_subscription(message_type, topic, on_message, qos, raw=raw)
        rclpy.spin(node)


class _Rate:
    """Intervals between messages of the last window, reported once a second."""

    def __init__(self, window: int) -> None:
        self._intervals_ns: deque[int] = deque(maxlen=window)
        self._last_ns: int | None = None
        self._reported_ns: int | None = None

    def add(self, now_ns: int) -> str | None:
        """Count a message; return the report when one is due."""
        if now_ns == 0:
            return None  # simulated time has not begun
        if self._last_ns is None or self._last_ns > now_ns:
            self._intervals_ns.clear()
            self._reported_ns = None
            self._last_ns = now_ns
            return None
        self._intervals_ns.append(now_ns - self._last_ns)
        self._last_ns = now_ns
        if self._reported_ns is None:
            self._reported_ns = now_ns
        if now_ns < self._reported_ns + _REPORT_NS:
            return None
        self._reported_ns = now_ns
        return self._report()

    def _report(self) -> str:
        seconds = [interval * 1e-9 for interval in self._intervals_ns]
        mean = sum(seconds) / len(seconds)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in seconds) / len(seconds))
        return (
            f'average rate: {1 / mean if mean else 0:.3f}\n'
            f'\tmin: {min(seconds):.3f}s max: {max(seconds):.3f}s '
            f'std dev: {deviation:.5f}s window: {len(seconds)}'
        )
