"""Run one node in one process: work until SIGINT or SIGTERM, finish the work in hand, leave with code 0.

rclpy's own signal handlers tear the context down at once, in the middle of a tick: what publishes then raises.
Here a signal is a flag that the node's loop looks at, and the context lives until the loop has ended.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import rclpy
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterException,
)
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from lwd_policy_node.profile import ProfileError
from lwd_policy_node.stop_signal import StopSignal

Leaving = Callable[[], bool]
"""True once the process has been asked to leave."""

_LOOK_S = 0.1


class StartError(RuntimeError):
    """A node cannot start as configured; the message names the value and the remedy."""


NodeT = TypeVar('NodeT', bound=Node)


def spin(node: Node, executor: Executor, stopping: StopSignal) -> None:
    """Run callbacks as they come."""
    while not stopping.is_set():
        executor.spin_once(timeout_sec=_LOOK_S)


def run_node(
    factory: Callable[[], NodeT],
    args: Sequence[str] | None = None,
    run: Callable[[NodeT, Executor, StopSignal], None] = spin,
) -> int:
    """Build the node, run it until a signal, destroy it.

    Returns:
        The exit code: 0 after a signal, 2 when the configuration is wrong (said on stderr,
        without a traceback).
    """
    stopping = StopSignal()
    rclpy.init(
        args=None if args is None else list(args), signal_handler_options=SignalHandlerOptions.NO
    )
    node: NodeT | None = None
    executor = SingleThreadedExecutor()
    try:
        node = factory()
        executor.add_node(node)
        run(node, executor, stopping)
    except ExternalShutdownException:
        pass  # whoever embeds the node has shut the context down
    except (
        StartError,
        ProfileError,
        ParameterException,
        InvalidParameterTypeException,
        InvalidParameterValueException,
    ) as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        return 2
    finally:
        if node is not None:
            node.destroy_node()
        executor.shutdown()
        rclpy.try_shutdown()
    return 0
