"""A simulator without physics: sim/reset and sim/state only; a scene succeeds after 0.3 s.

Scenes with an odd seed never succeed.
"""

from __future__ import annotations

import sys

from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.process import run_node
from rclpy.node import Node

from lwd_msgs.msg import SimState
from lwd_msgs.srv import ResetSim

TICK_S = 1.0 / 30.0


class EchoSim(Node):
    def __init__(self) -> None:
        super().__init__('echo_sim')
        self.state = SimState()
        self.out = self.create_publisher(SimState, 'sim/state', qos.SIM_STATE)
        self.create_service(ResetSim, 'sim/reset', self.on_reset)
        self.create_timer(TICK_S, self.on_tick)

    def on_reset(self, request: ResetSim.Request, reply: ResetSim.Response) -> object:
        if request.task == 'impossible':
            reply.message = "no task 'impossible'"
            return reply
        self.state.task, self.state.seed, self.state.tick = request.task, request.seed, 0
        self.state.success = False
        reply.ok, reply.instruction, reply.time_limit_s = True, f'do the {request.task}', 0.8
        return reply

    def on_tick(self) -> None:
        self.state.tick += 1
        self.state.success = self.state.seed % 2 == 0 and self.state.tick * TICK_S > 0.3
        self.state.header.stamp = self.get_clock().now().to_msg()
        self.out.publish(self.state)


if __name__ == '__main__':
    sys.exit(run_node(EchoSim))
