"""Run one node in one process: spin, and leave cleanly with code 0 on SIGINT and SIGTERM."""

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
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node


class StartError(RuntimeError):
    """A node cannot start as configured; the message names the value and the remedy."""


NodeT = TypeVar('NodeT', bound=Node)


def spin(node: Node, executor: Executor) -> None:
    """Run callbacks as they come."""
    executor.spin()


def run_node(
    factory: Callable[[], NodeT],
    args: Sequence[str] | None = None,
    executor_factory: Callable[[], Executor] = SingleThreadedExecutor,
    run: Callable[[NodeT, Executor], None] = spin,
) -> int:
    """Build the node, run it until a signal, destroy it.

    Returns:
        The exit code: 0 after a signal, 2 when the configuration is wrong (said on stderr,
        without a traceback).
    """
    rclpy.init(args=None if args is None else list(args))
    node: NodeT | None = None
    executor = executor_factory()
    try:
        node = factory()
        executor.add_node(node)
        run(node, executor)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass  # the way a node is asked to leave
    except rclpy_implementation.RCLError:
        if rclpy.ok():
            raise  # else the signal fell between the executor's look at the context and its wait
    except (
        StartError,
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
