"""What policy_node says about itself: /diagnostics once a second, and markers for RViz."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Point
from rclpy.node import Node
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from lwd_msgs.msg import ControlMode
from lwd_policy_node.inference.cadence import CadenceReport
from lwd_policy_node.kinematics import ARM_BASE, TOOLS, Chain
from lwd_policy_node.nodes import qos
from lwd_policy_node.profile import RobotProfile

MARKER_FRAME = 'base_link'
TEXT_PLACE_M = (0.0, 0.0, 1.9)  # above the head
TEXT_HEIGHT_M = 0.08
_COLOURS = {
    ControlMode.HOLD: (0.7, 0.7, 0.7),
    ControlMode.POLICY: (0.2, 0.8, 0.3),
    ControlMode.HUMAN: (0.2, 0.5, 1.0),
    ControlMode.ESTOP: (1.0, 0.2, 0.2),
}
_MODES = {
    ControlMode.HOLD: 'hold',
    ControlMode.POLICY: 'policy',
    ControlMode.HUMAN: 'human',
    ControlMode.ESTOP: 'e-stop',
}
PATH_WIDTH_M = 0.006
PATH_LIFETIME = Duration(sec=1)  # of the robot's clock: plans come more often while there are any
_PATH_COLOURS = {'l': (1.0, 0.6, 0.1), 'r': (0.7, 0.3, 1.0)}
Values = Mapping[str, object]


def label(robot_id: str, mode: int, version: int, instruction: str, value: float) -> str:
    """Who moves the robot with what, and the critic's value of the plan if it has one (finite)."""
    name = f'v{version}' if version else 'no weights'
    worth = f', value {value:.2f}' if math.isfinite(value) else ''
    return f'{robot_id}: {_MODES[mode]}, {name}{worth}\n{instruction}'


class PolicyReport:
    """The publishers of `/diagnostics` and `policy/markers`."""

    def __init__(self, node: Node, robot_id: str, profile: RobotProfile) -> None:
        """Report on `robot_id`, a robot of this profile."""
        self._node = node
        self._robot_id = robot_id
        self._nominal_hz = min(camera.rate_hz for camera in profile.cameras)
        names = list(profile.joint_names)
        self._arms = [
            (index, side, chain, [names.index(name) for name in chain.joint_names])
            for index, (side, link) in enumerate(TOOLS.items())
            if set((chain := Chain(link, ARM_BASE)).joint_names) <= set(names)
        ]
        self._diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        self._markers = node.create_publisher(MarkerArray, 'policy/markers', qos.MARKERS)

    def diagnose(
        self,
        faults: Sequence[str],
        weights: tuple[str, bool, Values],
        trouble: str,
        chunks: int,
        cadence: CadenceReport,
    ) -> None:
        """Publish one status for the streams, the weights, the inference and the cadence.

        Args:
            faults: one sentence for each stream that is missing, late or unusable.
            weights: what the weights client waits for, whether all is well, versions.
            trouble: why the last inference gave no chunk; empty: it did.
            chunks: published since the start.
            cadence: rates and ages of late.
        """
        levels = DiagnosticStatus
        note, well, versions = weights
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        figures = {name: round(value, 2) for name, value in asdict(cadence).items()}
        message.status = [
            self._status('observation', levels.WARN if faults else levels.OK, '; '.join(faults)),
            self._status('weights', levels.OK if well else levels.WARN, note, **versions),
            self._status(
                'inference',
                levels.ERROR if trouble else levels.OK,
                trouble,
                chunks=chunks,
                p50_ms=figures['inference_p50_ms'],
                p99_ms=figures['inference_p99_ms'],
            ),
            self._status(
                'cadence', levels.OK, '', nominal_observation_hz=self._nominal_hz, **figures
            ),
        ]
        self._diagnostics.publish(message)

    def close(self) -> None:
        """Withdraw the topics."""
        self._node.destroy_publisher(self._diagnostics)
        self._node.destroy_publisher(self._markers)

    def show(self, mode: int, version: int, instruction: str, value: float = math.nan) -> None:
        """Publish what `label` says as text above the robot, if anybody looks."""
        if not self._markers.get_subscription_count():
            return
        red, green, blue = _COLOURS[mode]
        text = Marker(ns='mode', id=0, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD)
        text.header.frame_id = MARKER_FRAME  # stamp 0: wherever the frame is now
        text.text = label(self._robot_id, mode, version, instruction, value)
        text.pose.position = Point(**dict(zip('xyz', TEXT_PLACE_M, strict=True)))
        text.scale.z = TEXT_HEIGHT_M
        text.color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
        self._markers.publish(MarkerArray(markers=[text]))

    def show_plan(self, actions: npt.NDArray[np.float64]) -> None:
        """Publish where a chunk's targets (H, A) lead each gripper, if anybody looks."""
        if not self._markers.get_subscription_count():
            return
        paths = []
        for index, side, chain, columns in self._arms:
            red, green, blue = _PATH_COLOURS[side]
            path = Marker(ns='plan', id=index, type=Marker.LINE_STRIP, action=Marker.ADD)
            path.header.frame_id = ARM_BASE
            path.points = [
                Point(**dict(zip('xyz', chain.pose(row).position.tolist(), strict=True)))
                for row in actions[:, columns]
            ]
            path.scale.x = PATH_WIDTH_M
            path.lifetime = PATH_LIFETIME
            path.color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
            paths.append(path)
        self._markers.publish(MarkerArray(markers=paths))

    def _status(self, what: str, level: bytes, message: str, **values: object) -> Any:
        return DiagnosticStatus(
            level=level,
            name=f'{self._robot_id}/policy_node: {what}',
            hardware_id=self._robot_id,
            message=message or 'ok',
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
