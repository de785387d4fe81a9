"""Serve what others ask of a node whose loop is its own: services, answers, parameters."""

from __future__ import annotations

from rclpy.executors import Executor, ShutdownException, TimeoutException


def run_ready(executor: Executor, most: int) -> None:
    """Run the callbacks that are ready now, `most` of them at most; wait for none.

    An executor's `spin_once` runs one: with a few looks a second, what waits behind it waits long.

    Raises:
        Exception: what a callback raised.
    """
    for _ in range(most):
        try:
            handler, _, _ = executor.wait_for_ready_callbacks(timeout_sec=0.0)
        except (TimeoutException, ShutdownException):
            return
        handler()
        error = handler.exception()
        if error is not None:
            raise error
