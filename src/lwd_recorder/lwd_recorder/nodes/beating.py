"""The loop of a node that works at a steady beat, and finishes its work when the process is told to stop.

It is the node's own beat, not an executor's: building a wait set takes rclpy a millisecond, so at 25 beats and 75
clock messages a second the waiting would cost more than the work. Ten times a second the executor runs all that is
ready then of what others ask of the node and answer it (parameters).
"""

from __future__ import annotations

import time
from typing import Protocol

from lwd_policy_node.nodes.ready_callbacks import run_ready
from lwd_policy_node.stop_signal import StopSignal
from rclpy.executors import Executor

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


def beat_until_stopped(node: BeatingNode, executor: Executor, stopping: StopSignal) -> None:
    """Let a node beat until a signal, which also ends the wait for the next beat, or an error; then let it finish."""
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
