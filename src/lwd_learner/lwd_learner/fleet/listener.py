"""Hears what robots say of themselves, in a thread of its own, and fills a FleetView."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

import rclpy
from lwd_policy_node.nodes import qos
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from lwd_learner.fleet.view import FleetView
from lwd_learner.publish.status_wire import event_of, report_of
from lwd_msgs.msg import RobotStatus, WeightsStatus


class FleetListener:
    """A node that only subscribes; use it in `with`."""

    def __init__(self, view: FleetView) -> None:
        self._view = view

    def __enter__(self) -> FleetListener:
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(
            'fleet', context=self._context, enable_rosout=False, use_global_arguments=False
        )
        self._node.create_subscription(
            RobotStatus, '/lwd/robot_status', self._on_report, qos.reliable(100)
        )
        self._node.create_subscription(
            WeightsStatus, '/lwd/weights_status', self._on_event, qos.WEIGHTS_STATUS
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name='fleet', daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown()
        self._context.try_shutdown()
        self._thread.join()
        self._node.destroy_node()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def _on_report(self, message: Any) -> None:
        self._view.add_report(report_of(message))

    def _on_event(self, message: Any) -> None:
        self._view.add_event(event_of(message))
