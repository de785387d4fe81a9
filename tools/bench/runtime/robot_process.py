"""A robot that goes at once where it is sent, with cameras (``python -m tools.bench.runtime.robot_process``).

SIGUSR1 stops its first camera, and again lets it go on.
"""

from __future__ import annotations

import signal
import sys

import numpy as np
import simplejpeg
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.process import run_node
from lwd_policy_node.profile import load_profile
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, JointState
from trajectory_msgs.msg import JointTrajectory

from tools.bench.runtime.checkpoint import PROFILE


class RobotProcess(Node):
    """Publishes joint_states at the control rate and each camera at its own; follows joint_command."""

    def __init__(self) -> None:
        super().__init__('bench_robot')
        profile = load_profile(PROFILE)
        self._rng = np.random.default_rng(0)
        still = [name for name in profile.state_names if name not in profile.joint_names]
        self._still = [0.0] * len(still)
        self._state = JointState(name=[*profile.joint_names, *still])
        self._state.position = [*profile.home, *self._still]
        self._tick = 0
        self._blind = False
        signal.signal(signal.SIGUSR1, self._on_signal)
        self._every = round(profile.control_rate_hz / profile.cameras[0].rate_hz)
        self._jpegs = [
            simplejpeg.encode_jpeg(
                self._rng.integers(0, 256, (c.height, c.width, 3), dtype=np.uint8)
            )
            for c in profile.cameras
        ]
        self._cameras = [
            self.create_publisher(CompressedImage, c.topic, qos.CAMERA) for c in profile.cameras
        ]
        self._states = self.create_publisher(JointState, 'joint_states', qos.JOINT_STATES)
        self.create_subscription(
            JointTrajectory, 'joint_command', self._on_command, qos.JOINT_COMMAND
        )
        self.create_timer(profile.control_period_s, self._on_tick)

    def _on_signal(self, *_: object) -> None:
        self._blind = not self._blind

    def _on_command(self, message: JointTrajectory) -> None:
        self._state.position = [*message.points[0].positions, *self._still]

    def _on_tick(self) -> None:
        self._tick += 1
        self._state.header.stamp = self.get_clock().now().to_msg()
        if self._tick % self._every == 0:
            for camera, jpeg in list(zip(self._cameras, self._jpegs, strict=True))[self._blind :]:
                camera.publish(
                    CompressedImage(header=self._state.header, format='jpeg', data=jpeg)
                )
        self._states.publish(self._state)


if __name__ == '__main__':
    sys.exit(run_node(RobotProcess))
