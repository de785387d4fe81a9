"""In robot_state_publisher's place: latches robot_description, hears joint_states; says both in $STANDIN_REPORT."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.process import run_node
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import String


class StandinStatePublisher(Node):
    def __init__(self) -> None:
        super().__init__('robot_state_publisher')
        description = self.declare_parameter('robot_description', '').value
        self.out = self.create_publisher(String, 'robot_description', qos.latched())
        self.out.publish(String(data=description))
        self.create_subscription(JointState, 'joint_states', self.on, qos.JOINT_STATES)

    def on(self, message: JointState) -> None:
        Path(os.environ['STANDIN_REPORT'], 'joints.txt').write_text('\n'.join(message.name))


if __name__ == '__main__':
    sys.exit(run_node(StandinStatePublisher))
