"""Runs one node in one process and lets it finish its work when told to stop.

rclpy's own signal handlers tear the context down at once: whatever spins then may raise, and nothing can be published
any more. Here the signal ends the loop, the node finishes with its context intact, and the exit code is 0.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

_LOOK_S = 0.2


class Finishing(Protocol):
    """A node with something to do before it leaves."""

    def finish(self) -> None:
        """Finish the work under way."""

    def destroy_node(self) -> None:
        """Leave the graph."""


def run(
    name: str,
    make: Callable[[], Finishing],
    refusals: tuple[type[Exception], ...],
    args: Sequence[str] | None,
) -> int:
    """Make a node and spin it until SIGINT or SIGTERM.

    Args:
        name: the node's name, for the message on stderr.
        make: makes it.
        refusals: what `make` raises when it is set up wrongly; said in one line.
        args: command line; None = the process's.

    Returns:
        The exit code: 0 after a signal, 2 when it was set up wrongly.
    """
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    rclpy.init(
        args=None if args is None else list(args), signal_handler_options=SignalHandlerOptions.NO
    )
    try:
        try:
            node = make()
        except refusals as error:
            print(f'{name}: {error}', file=sys.stderr)
            return 2
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            while not stopping.is_set():
                executor.spin_once(timeout_sec=_LOOK_S)
        finally:
            node.finish()
            executor.shutdown()
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
    return 0
