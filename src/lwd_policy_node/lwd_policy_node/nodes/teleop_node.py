"""Publish what a teleoperation source commands, while its deadman is held.

One message per control tick while it is held, and one with deadman = false when it is released.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from rclpy.executors import Executor
from rclpy.node import Node

from lwd_msgs.msg import TeleopCommand
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.control_loop import ControlLoop
from lwd_policy_node.nodes.parameters import Parameter, declare
from lwd_policy_node.nodes.process import StartError, run_node
from lwd_policy_node.nodes.wire import doubles
from lwd_policy_node.profile import load_profile
from lwd_policy_node.stop_signal import StopSignal
from lwd_policy_node.teleop import SourceError, load_source

PARAMETERS = (
    Parameter('profile', str, 'g1', 'Robot profile: g1, g1_laptop, or a path to a .yaml.'),
    Parameter(
        'source',
        str,
        'none',
        'Teleop source: gamepad, leader_arm, keyboard, none, scripted (of lwd_sim), or any other of the entry-point '
        'group lwd.teleop_source.',
    ),
    Parameter(
        'lifespan_s', float, 0.5, 'DDS drops commands older than this (wall clock, s).', 0.01, 10.0
    ),
)


class TeleopNode(Node):
    """Polls one `TeleopSource` at the control rate."""

    def __init__(self) -> None:
        """Load the source; raises StartError when there is none of that name."""
        super().__init__('teleop_node')
        values = declare(self, PARAMETERS)
        profile = load_profile(values['profile'])
        self._names = list(profile.joint_names)
        try:
            self._source = load_source(values['source'])(self)
        except SourceError as error:
            raise StartError(str(error)) from error
        self._held = False
        self._out = self.create_publisher(
            TeleopCommand, 'teleop/command', qos.teleop_writer(values['lifespan_s'])
        )
        self._loop = ControlLoop(self, profile.control_period_s, self._on_tick)

    def run(self, executor: Executor, stopping: StopSignal) -> None:
        """Tick until the process is asked to leave."""
        self._loop.run(executor, stopping.is_set)

    def _on_tick(self) -> None:
        now = self.get_clock().now()
        wish = self._source.poll(now.nanoseconds * 1e-9)
        if wish is None and not self._held:
            return
        message = TeleopCommand(deadman=wish is not None)
        message.header.stamp = now.to_msg()
        if wish is not None:
            position = np.ascontiguousarray(wish[0], dtype=np.float64)
            message.joint_names = self._names
            message.position = doubles(position)
            message.reason = wish[1]
            if not self._held:
                self.get_logger().info(f'taking over: {wish[1]}')
        else:
            self.get_logger().info('handing back')
        self._held = message.deadman
        self._out.publish(message)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `ros2 run lwd_policy_node teleop_node`."""
    return run_node(TeleopNode, args, run=TeleopNode.run)


if __name__ == '__main__':
    sys.exit(main())
