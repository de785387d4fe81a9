"""Threads beside a node's executor, which may outlive the ROS context by a moment."""

from __future__ import annotations

import threading
from collections.abc import Callable

import rclpy
from rclpy.impl.implementation_singleton import rclpy_implementation


def start_thread(name: str, target: Callable[[], None]) -> threading.Thread:
    """Run `target` in a daemon thread; ROS calls that fail after shutdown end it in silence."""

    def run() -> None:
        try:
            target()
        except (rclpy_implementation.InvalidHandle, rclpy_implementation.RCLError):
            if rclpy.ok():
                raise

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
