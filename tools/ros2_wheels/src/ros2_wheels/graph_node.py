"""A hidden node that looks at the ROS graph; there is no daemon."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import Parameter

_POLL_S = 0.05
_QUIET_S = 0.5  # the graph counts as known when nothing new appeared for so long
_LONGEST_S = 4.0


def add_node_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every verb that needs the graph."""
    parser.add_argument(
        '--spin-time',
        type=float,
        default=None,
        help='Seconds to wait for discovery (default: until nothing new has appeared for '
        f'{_QUIET_S} s, at most {_LONGEST_S} s)',
    )
    parser.add_argument(
        '-s', '--use-sim-time', action='store_true', help='Enable ROS simulation time'
    )
    parser.add_argument('--no-daemon', action='store_true', help='There is no daemon anyway')


@contextmanager
def graph_node(args: argparse.Namespace, *, discover: bool = True) -> Iterator[Node]:
    """Open the node, with the graph discovered.

    Args:
        args: The parsed command line.
        discover: Whether to wait until the graph is known.
    """
    rclpy.init(args=[])
    node = rclpy.create_node(
        f'_ros2cli_{os.getpid()}',
        start_parameter_services=False,
        parameter_overrides=[
            Parameter('use_sim_time', value=bool(getattr(args, 'use_sim_time', False)))
        ],
    )
    try:
        if discover:
            wait_for_discovery(node, getattr(args, 'spin_time', None))
        yield node
    except ExternalShutdownException:
        raise KeyboardInterrupt from None
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def wait_for_discovery(node: Node, spin_time_s: float | None) -> None:
    """Wait for `spin_time_s`, or until the graph has stopped changing."""
    start = time.monotonic()
    if spin_time_s is not None:
        while time.monotonic() - start < spin_time_s:
            rclpy.spin_once(node, timeout_sec=_POLL_S)
        return
    seen: Any = None
    last_change = start
    while time.monotonic() - last_change < _QUIET_S and time.monotonic() - start < _LONGEST_S:
        rclpy.spin_once(node, timeout_sec=_POLL_S)
        now = _graph(node)
        if now != seen:
            seen = now
            last_change = time.monotonic()


def _graph(node: Node) -> Any:
    topics = node.get_topic_names_and_types()
    return (
        sorted(node.get_node_names_and_namespaces()),
        sorted((name, sorted(types)) for name, types in topics),
        sorted(name for name, _ in node.get_service_names_and_types()),
        [(node.count_publishers(name), node.count_subscribers(name)) for name, _ in topics],
    )


def is_hidden(name: str) -> bool:
    """Return True for names with a part that begins with an underscore."""
    return any(part.startswith('_') for part in name.split('/'))


def full_node_names(node: Node) -> list[str]:
    """Return the full names of all nodes, sorted, duplicates included."""
    return sorted(
        f'{namespace.removesuffix("/")}/{name}'
        for name, namespace in node.get_node_names_and_namespaces()
    )
