"""Publishes a node's diagnostic_msgs statuses on /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from lwd_policy_node.nodes import qos
from rclpy.node import Node


class Level(Enum):
    """How well it is."""

    OK = DiagnosticStatus.OK
    WARN = DiagnosticStatus.WARN
    ERROR = DiagnosticStatus.ERROR


@dataclass(frozen=True, slots=True)
class Status:
    """One status."""

    level: Level
    """How well it is."""
    text: str
    """In words."""
    values: Mapping[str, str] = field(default_factory=dict)
    """In figures."""
    part: str = ''
    """Of which part of the node; empty = of all of it."""


class StatusPublisher:
    """The statuses of one node."""

    def __init__(self, node: Node, name: str, hardware_id: str) -> None:
        """Advertise /diagnostics.

        Args:
            node: owner.
            name: the status's name, e.g. `g1_01: recorder`; parts are below it, after a slash.
            hardware_id: what it is about, e.g. the spool's folder.
        """
        self._node = node
        self._name = name
        self._hardware_id = hardware_id
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)

    def publish(self, level: Level, text: str, values: Mapping[str, str]) -> None:
        """Publish how it is now."""
        self.publish_all([Status(level, text, values)])

    def publish_all(self, statuses: Sequence[Status]) -> None:
        """Publish how the node and its parts are now, in one message."""
        array = DiagnosticArray(
            status=[
                DiagnosticStatus(
                    level=status.level.value,
                    name=f'{self._name}/{status.part}' if status.part else self._name,
                    message=status.text,
                    hardware_id=self._hardware_id,
                    values=[KeyValue(key=key, value=text) for key, text in status.values.items()],
                )
                for status in statuses
            ]
        )
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)


def say(node: Node, level: str, text: str) -> None:
    """Log a text at a level known by name: info, warn or error.

    rclpy keeps one severity a line of code, so each has its own.
    """
    log = node.get_logger()
    if level == 'error':
        log.error(text)
    elif level == 'warn':
        log.warning(text)
    else:
        log.info(text)
