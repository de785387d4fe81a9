"""Teleop source `leader_arm` of `teleop_node`: a leader's JointState, with a pedal (sensor_msgs/Joy) as its deadman."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
from rclpy.node import Node
from sensor_msgs.msg import JointState, Joy

from lwd_msgs.msg import TeleopCommand
from lwd_policy_node.nodes.operator_link import DEVICE, OperatorLink
from lwd_policy_node.nodes.parameters import declare
from lwd_policy_node.nodes.teleop_parameters import JOY, LEADER, leader_config, outcome_buttons
from lwd_policy_node.profile import load_profile
from lwd_policy_node.teleop.gamepad import OUTCOMES
from lwd_policy_node.teleop.joy_buttons import JoyButtons
from lwd_policy_node.teleop.leader import Leader


class LeaderArmSource:
    """Implements `lwd_policy_node.teleop.TeleopSource`."""

    def __init__(self, node: Node) -> None:
        """Subscribe on `node`, whose `profile` parameter names the robot."""
        values = declare(node, (*JOY, *LEADER))
        profile = load_profile(node.get_parameter('profile').value)
        self._link = OperatorLink(node, profile, 'leader_arm')
        self._leader = Leader(profile, leader_config(values))
        self._pedal = JoyButtons(
            values['joy_button_deadman'],
            outcome_buttons(values),
            timeout_s=values['joy_timeout_s'],
        )
        self._link.inputs.add(Joy, values['joy_topic'], self._on_joy, DEVICE)
        self._link.inputs.add(JointState, values['leader_topic'], self._on_leader, DEVICE)

    def poll(self, now_s: float) -> tuple[npt.NDArray[np.float64], str] | None:
        """Joint targets (A,) and the reason while the deadman is held and the poses agreed, else None."""
        robot = self._link.poll()
        wall_s = time.monotonic()
        pressed = self._pedal.take_presses()
        self._link.end_episodes([OUTCOMES[name] for name in pressed], 'operator')
        held = self._pedal.held(wall_s)
        target = self._leader.update(held, robot, wall_s)
        pedal = self._pedal.refusal(wall_s)
        # A leader at rest is seldom in the robot's pose: that is said aloud only to who holds the deadman.
        self._link.explain(pedal or self._leader.refusal, aloud=bool(pedal) or held)
        return None if target is None else (target, TeleopCommand.REASON_OPERATOR)

    def _on_joy(self, message: Joy) -> None:
        self._pedal.on_joy(message.buttons, time.monotonic())

    def _on_leader(self, message: JointState) -> None:
        position = np.asarray(message.position, dtype=np.float64)
        self._leader.on_joints(list(message.name), position, time.monotonic())
