"""Signs of life of every process: when each was last heard of. For how soon one is back after a kill."""

from __future__ import annotations

import threading
import time
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lwd_policy_node.nodes import qos
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from lwd_msgs.msg import RobotStatus, WeightsManifest


class Watch:
    """A node that only listens; `close` ends it."""

    def __init__(self, domain_id: int) -> None:
        self._lock = threading.Lock()
        self._heard_s: dict[str, float] = {}
        self._context = Context()
        rclpy.init(
            context=self._context,
            domain_id=domain_id,
            signal_handler_options=SignalHandlerOptions.NO,
        )
        self._node = rclpy.create_node('soak_watch', context=self._context, enable_rosout=False)
        self._node.create_subscription(
            DiagnosticArray, '/diagnostics', self._on_diagnostics, qos.reliable(200)
        )
        self._node.create_subscription(
            WeightsManifest, '/lwd/weights', lambda _: self._hear('learner'), qos.WEIGHTS
        )
        self._node.create_subscription(
            RobotStatus,
            '/lwd/robot_status',
            lambda status: self._hear(f'robot {status.robot_id}'),
            qos.ROBOT_STATUS,
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def heard_s(self, name: str) -> float:
        """Monotonic time of the last sign of life, s; 0 = none."""
        with self._lock:
            return self._heard_s.get(name, 0.0)

    def close(self) -> None:
        """Stop listening."""
        self._executor.shutdown()
        self._context.try_shutdown()
        self._thread.join()

    def _hear(self, name: str) -> None:
        with self._lock:
            self._heard_s[name] = time.monotonic()

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            robot, _, part = status.name.partition(': ')
            if part in ('recorder', 'uploader'):
                self._hear(f'{part} {robot}')

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return
