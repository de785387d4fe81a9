"""A hidden node that looks at the ROS graph; there is no daemon."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import Parameter

_POLL_S = 0.05
_QUIET_S = 0.6  # the graph counts as known when nothing new appeared for so long
_FOUND_S = 0.25  # the same, once the verb has found what it looks for
_EMPTY_S = 3.5  # no other node: Fast DDS announces each every 3 s, and may tell nothing before
_LONGEST_S = 6.0


def add_node_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every verb that needs the graph."""
    parser.add_argument(
        '--spin-time',
        type=float,
        default=None,
        help='Seconds to wait for discovery (default: until nothing new has appeared for '
        f'{_QUIET_S} s; at most {_LONGEST_S} s)',
    )
    parser.add_argument(
        '-s', '--use-sim-time', action='store_true', help='Enable ROS simulation time'
    )
    parser.add_argument('--no-daemon', action='store_true', help='There is no daemon anyway')


@contextmanager
def graph_node(
    args: argparse.Namespace,
    *,
    discover: bool = True,
    until: Callable[[Node], bool] | None = None,
    longest_s: float | None = None,
) -> Iterator[Node]:
    """Open the node, with the graph discovered.

    Args:
        args: The parsed command line.
        discover: Whether to wait until the graph is known.
        until: What the verb is looking for: the wait goes on while this is False.
        longest_s: Longest wait in seconds, by default a few.
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
            _wait_for_discovery(
                node, getattr(args, 'spin_time', None), until, longest_s or _LONGEST_S
            )
        yield node
    except ExternalShutdownException:
        raise KeyboardInterrupt from None
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def _wait_for_discovery(
    node: Node,
    spin_time_s: float | None,
    until: Callable[[Node], bool] | None,
    longest_s: float,
) -> None:
    """Wait for `spin_time_s`, or until the graph has stopped changing."""
    start = time.monotonic()
    longest_s = longest_s if spin_time_s is None else spin_time_s
    seen: Any = None
    last_change = start
    while (now := time.monotonic()) - start < longest_s:
        rclpy.spin_once(node, timeout_sec=_POLL_S)
        graph = _graph(node)
        if graph != seen:
            seen = graph
            last_change = now
        if spin_time_s is not None:
            continue
        if until is not None and until(node):
            quiet_s = _FOUND_S
        elif until is not None:
            continue
        else:
            quiet_s = _EMPTY_S if len(node.get_node_names()) <= 1 else _QUIET_S
        if now - last_change >= quiet_s:
            return


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
