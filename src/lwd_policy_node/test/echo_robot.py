"""A robot that goes at once where it is sent: publishes joint_states, follows joint_command."""

from __future__ import annotations

import sys

from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.process import run_node
from lwd_policy_node.profile import load_profile
from rclpy.node import Node
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory


class EchoRobot(Node):
    def __init__(self) -> None:
        super().__init__('echo_robot')
        profile = load_profile('g1_laptop')
        still = [name for name in profile.state_names if name not in profile.joint_names]
        self.still = [0.0] * len(still)
        self.state = JointState(name=[*profile.joint_names, *still])
        self.state.position = [*profile.home, *self.still]
        self.create_subscription(
            JointTrajectory, 'joint_command', self.on_command, qos.JOINT_COMMAND
        )
        self.out = self.create_publisher(JointState, 'joint_states', qos.JOINT_STATES)
        self.create_timer(profile.control_period_s, self.on_tick)

    def on_command(self, message: JointTrajectory) -> None:
        self.state.position = [*message.points[0].positions, *self.still]

    def on_tick(self) -> None:
        self.state.header.stamp = self.get_clock().now().to_msg()
        self.out.publish(self.state)


if __name__ == '__main__':
    sys.exit(run_node(EchoRobot))
