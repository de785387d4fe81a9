"""Teleop source `keyboard` of `teleop_node`: jog the hands from the terminal that the node runs in."""

from __future__ import annotations

import sys
import time

import numpy as np
import numpy.typing as npt
from rclpy.node import Node

from lwd_msgs.msg import TeleopCommand
from lwd_policy_node.nodes.operator_link import OperatorLink
from lwd_policy_node.nodes.parameters import declare
from lwd_policy_node.nodes.teleop_parameters import JOG, KEYBOARD, jog_speeds
from lwd_policy_node.profile import load_profile
from lwd_policy_node.teleop.jog import Jog
from lwd_policy_node.teleop.keyboard import HELP, Keyboard, KeyboardTimes
from lwd_policy_node.teleop.terminal import Terminal


class KeyboardSource:
    """Implements `lwd_policy_node.teleop.TeleopSource`."""

    def __init__(self, node: Node) -> None:
        """Take over the terminal; `node`'s `profile` parameter names the robot."""
        values = declare(node, (*JOG, *KEYBOARD))
        profile = load_profile(node.get_parameter('profile').value)
        self._link = OperatorLink(node, profile, 'keyboard')
        self._jog = Jog(profile, jog_speeds(values))
        self._keyboard = Keyboard(
            KeyboardTimes(tap_s=values['keyboard_tap_s'], hold_s=values['keyboard_hold_s'])
        )
        self._terminal = Terminal(sys.stdin.fileno())
        print(HELP, flush=True)

    def poll(self, now_s: float) -> tuple[npt.NDArray[np.float64], str] | None:
        """Joint targets (A,) and the reason while the deadman is held, else None."""
        robot = self._link.poll()
        wall_s = time.monotonic()
        self._keyboard.feed(self._terminal.read(), wall_s)
        if self._terminal.closed:
            self._keyboard.release()
        self._link.end_episodes(self._keyboard.take_outcomes(), 'operator')
        target = self._jog.update(self._keyboard.wish(wall_s), robot)
        self._link.explain(
            'the terminal was closed' if self._terminal.closed else self._jog.refusal
        )
        return None if target is None else (target, TeleopCommand.REASON_OPERATOR)
