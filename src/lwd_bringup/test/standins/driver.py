"""In the place of a real G1's driver, with topic names of its own: a robot that goes at once where it is sent."""

from __future__ import annotations

import sys

import cv2
import numpy as np
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.process import run_node
from lwd_policy_node.profile import load_profile
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, JointState
from trajectory_msgs.msg import JointTrajectory

TOPICS = {
    'camera/head/image/compressed': '/vendor/eyes/jpeg',
    'camera/hand_left/image/compressed': 'hal/wrist_l/compressed',
    'camera/hand_right/image/compressed': 'hal/wrist_r/compressed',
    'joint_states': 'hal/joints',
    'joint_command': 'hal/targets',
}
PROFILE = load_profile('g1_laptop')
START = PROFILE.home + 0.05  # rad, gripper fraction: somewhere else than a program would guess


class StandinDriver(Node):
    def __init__(self) -> None:
        super().__init__('vendor_driver')
        still = [name for name in PROFILE.state_names if name not in PROFILE.joint_names]
        self.still = [0.0] * len(still)
        self.state = JointState(name=[*PROFILE.joint_names, *still])
        self.state.position = [*START, *self.still]
        grey = np.full((64, 64, 3), 90, np.uint8)
        self.jpeg = cv2.imencode('.jpg', grey)[1].tobytes()
        self.joints_out = self.create_publisher(
            JointState, TOPICS['joint_states'], qos.JOINT_STATES
        )
        self.cameras_out = [
            self.create_publisher(CompressedImage, TOPICS[camera.topic], qos.CAMERA)
            for camera in PROFILE.cameras
        ]
        self.create_subscription(
            JointTrajectory, TOPICS['joint_command'], self.on_command, qos.JOINT_COMMAND
        )
        self.create_timer(PROFILE.control_period_s, self.on_tick)
        self.create_timer(0.1, self.on_frame)

    def on_command(self, message: JointTrajectory) -> None:
        self.state.position = [*message.points[0].positions, *self.still]

    def on_tick(self) -> None:
        self.state.header.stamp = self.get_clock().now().to_msg()
        self.joints_out.publish(self.state)

    def on_frame(self) -> None:
        image = CompressedImage(format='jpeg', data=self.jpeg)
        image.header.stamp = self.get_clock().now().to_msg()
        for out in self.cameras_out:
            out.publish(image)


if __name__ == '__main__':
    sys.exit(run_node(StandinDriver))
