"""Teleop source `gamepad` of `teleop_node`: jog the hands with a sensor_msgs/Joy device."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
from rclpy.node import Node
from sensor_msgs.msg import Joy

from lwd_msgs.msg import TeleopCommand
from lwd_policy_node.nodes.operator_link import DEVICE, OperatorLink
from lwd_policy_node.nodes.parameters import declare
from lwd_policy_node.nodes.teleop_parameters import (
    GAMEPAD,
    JOG,
    JOY,
    gamepad_map,
    jog_speeds,
    outcome_buttons,
)
from lwd_policy_node.profile import load_profile
from lwd_policy_node.teleop.gamepad import Gamepad
from lwd_policy_node.teleop.jog import Jog


class GamepadSource:
    """Implements `lwd_policy_node.teleop.TeleopSource`."""

    def __init__(self, node: Node) -> None:
        """Subscribe on `node`, whose `profile` parameter names the robot."""
        values = declare(node, (*JOG, *JOY, *GAMEPAD))
        profile = load_profile(node.get_parameter('profile').value)
        self._link = OperatorLink(node, profile, 'gamepad')
        self._jog = Jog(profile, jog_speeds(values))
        self._pad = Gamepad(
            gamepad_map(values),
            deadman=values['joy_button_deadman'],
            outcomes=outcome_buttons(values),
            timeout_s=values['joy_timeout_s'],
        )
        self._link.inputs.add(Joy, values['joy_topic'], self._on_joy, DEVICE)

    def poll(self, now_s: float) -> tuple[npt.NDArray[np.float64], str] | None:
        """Joint targets (A,) and the reason while the deadman is held, else None."""
        robot = self._link.poll()
        wall_s = time.monotonic()
        self._link.end_episodes(self._pad.take_outcomes(), 'gamepad')
        target = self._jog.update(self._pad.wish(wall_s), robot)
        self._link.explain(self._pad.refusal(wall_s) or self._jog.refusal)
        return None if target is None else (target, TeleopCommand.REASON_OPERATOR)

    def _on_joy(self, message: Joy) -> None:
        self._pad.on_joy(message.axes, message.buttons, time.monotonic())
