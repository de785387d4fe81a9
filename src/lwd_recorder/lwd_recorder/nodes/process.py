"""Runs one node in one process and lets it finish its work when told to stop.

rclpy's own signal handlers tear the context down at once: whatever spins then may raise, and nothing can be published
any more. Here the signal ends the loop, the node finishes with its context intact, and the exit code is 0.

The loop is the node's own beat, not an executor's: building a wait set takes rclpy a millisecond, so at 25 beats and 75
clock messages a second the waiting would cost more than the work. Ten times a second the executor runs all that is
ready then of what others ask of the node and answer it (parameters).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import rclpy
from lwd_policy_node.nodes.ready_callbacks import run_ready
from lwd_policy_node.stop_signal import StopSignal
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

_LOOK_PERIOD_S = 0.1
_CALLBACKS_PER_LOOK = 64  # most callbacks run between two beats


class BeatingNode(Protocol):
    """A node that works at a steady beat and has something to do before it leaves."""

    beat_s: float
    """Time between two beats, s."""

    def beat(self) -> None:
        """Do what is due."""

    def finish(self) -> None:
        """Finish the work under way."""

    def destroy_node(self) -> None:
        """Leave the graph."""


def run(
    name: str,
    make: Callable[[], BeatingNode],
    refusals: tuple[type[Exception], ...],
    args: Sequence[str] | None,
) -> int:
    """Make a node and let it beat until SIGINT or SIGTERM.

    Args:
        name: the node's name, for the message on stderr.
        make: makes it.
        refusals: what `make` raises when it is set up wrongly; said in one line.
        args: command line; None = the process's.

    Returns:
        The exit code: 0 after a signal, 2 when it was set up wrongly.
    """
    stopping = StopSignal()
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
            look_at_s = 0.0
            while not stopping.is_set():
                node.beat()
                if time.monotonic() >= look_at_s:
                    look_at_s = time.monotonic() + _LOOK_PERIOD_S
                    run_ready(executor, _CALLBACKS_PER_LOOK)
                stopping.wait(node.beat_s)
        finally:
            node.finish()
            executor.shutdown()
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
    return 0
