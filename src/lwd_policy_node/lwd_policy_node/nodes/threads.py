"""Threads beside a node's executor, which may outlive the ROS context, or the topics they write, by a moment."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable

import rclpy
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.logging import get_logger

FAILED = 70  # exit code: an internal error


def start_thread(
    name: str, target: Callable[[], None], closing: Callable[[], bool] = lambda: False
) -> threading.Thread:
    """Run `target` in a daemon thread; ROS calls that fail after shutdown, or once `closing()`, end it in silence.

    Whoever closes it withdraws its topics without waiting for ever, say for weights that load.

    Anything else that it raises ends the process with code `FAILED`: a node whose thread is gone would look healthy
    and do nothing for ever, while launch starts one that is gone again, and the arbiter holds the robot meanwhile.
    """

    def run() -> None:
        try:
            target()
        except Exception as error:
            left = (rclpy_implementation.InvalidHandle, rclpy_implementation.RCLError)
            if isinstance(error, left) and (closing() or not rclpy.ok()):
                return
            try:
                get_logger(name).fatal(
                    f'the thread {name} failed, and the process ends:\n{traceback.format_exc()}'
                )
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(FAILED)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
