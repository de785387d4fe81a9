"""What every human's teleoperation source shares: what it knows of the robot, and what it tells it.

Reads joint_command (the targets in force), joint_states (the waist) and control_mode; calls episode/end; writes
/diagnostics: why a held deadman does not give control.
"""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from lwd_msgs.msg import ControlMode
from lwd_msgs.srv import EndEpisode
from lwd_policy_node.episode import Outcome
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.parameters import Parameter, declare
from lwd_policy_node.nodes.polling import PolledInputs
from lwd_policy_node.nodes.wire import JointOrder, Vector
from lwd_policy_node.profile import RobotProfile
from lwd_policy_node.teleop.jog import WAIST
from lwd_policy_node.teleop.robot_view import RobotView

PARAMETERS = (
    Parameter(
        'target_timeout_s',
        float,
        0.5,
        'No joint_command for this long (wall clock, s): nothing is in force to start from, and no takeover.',
        0.01,
        10.0,
    ),
)
REPORT_PERIOD_S = 1.0
DEVICE = qos.best_effort(10)  # hears reliable and best-effort drivers alike


class OperatorLink:
    """The robot, from the operator's side."""

    def __init__(self, node: Node, profile: RobotProfile, device: str) -> None:
        """Subscribe on `node`; `device` names the source in messages."""
        self._node = node
        self._device = device
        self._timeout_s = declare(node, PARAMETERS)['target_timeout_s']
        self._action_order = JointOrder(profile.joint_names)
        self._waist_order = JointOrder(WAIST.joint_names)
        self._target: Vector | None = None
        self._target_s = 0.0
        self._waist: Vector | None = None
        self._human = False
        self._refusal = self._told = ''
        self._aloud = False
        self.inputs = PolledInputs(node)
        """Read at every `poll`; a source adds its device."""
        self.inputs.add(ControlMode, 'control_mode', self._on_mode, qos.CONTROL_MODE)
        self.inputs.add(JointState, 'joint_states', self._on_state, qos.JOINT_STATES_READER)
        self.inputs.add(JointTrajectory, 'joint_command', self._on_command, qos.JOINT_COMMAND)
        self._end = node.create_client(EndEpisode, 'episode/end')
        self._diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(REPORT_PERIOD_S, self._report, clock=steady)

    def poll(self) -> RobotView:
        """Read what has arrived; the robot now."""
        self.inputs.poll()
        fresh = time.monotonic() - self._target_s <= self._timeout_s
        return RobotView(self._target if fresh else None, self._human, self._waist)

    def explain(self, refusal: str, *, aloud: bool = True) -> None:
        """Say why a deadman does not give control ('' = it does): in /diagnostics, and `aloud` in the log."""
        self._refusal, self._aloud = refusal, aloud

    def end_episodes(self, outcomes: list[Outcome], ended_by: str) -> None:
        """Ask episode_node to end the running episode, once for each of `outcomes`."""
        for outcome in outcomes:
            name = outcome.name.lower()
            if not self._end.service_is_ready():
                self._node.get_logger().warning(
                    f'{name}: no episode/end: is episode_node running?'
                )
                continue
            request = EndEpisode.Request(outcome=int(outcome), ended_by=ended_by)
            self._end.call_async(request).add_done_callback(lambda f, n=name: self._on_ended(n, f))

    def _on_ended(self, name: str, future: Future) -> None:
        reply = future.result()
        if reply.ok:
            ended = f'{reply.episode_id} ended' if reply.episode_id else reply.message
            self._node.get_logger().info(f'{ended}: {name}')
        else:
            self._node.get_logger().warning(f'{name} was refused: {reply.message}')

    def _on_mode(self, message: ControlMode) -> None:
        self._human = message.mode == ControlMode.HUMAN

    def _on_state(self, message: JointState) -> None:
        self._waist = self._waist_order.pick(message.name, message.position)

    def _on_command(self, message: JointTrajectory) -> None:
        if message.points:
            names, positions = message.joint_names, message.points[0].positions
            self._target = self._action_order.pick(names, positions)
            self._target_s = time.monotonic()

    def _report(self) -> None:
        """Once a second."""
        refusal = '; '.join(
            [*self.inputs.incompatible(), *([self._refusal] if self._refusal else [])]
        )
        if self._aloud and refusal and refusal != self._told:
            self._node.get_logger().warning(refusal)
        self._told = refusal if self._aloud or not refusal else self._told
        status = DiagnosticStatus(
            name=f'{self._node.get_namespace()}: teleop', hardware_id=self._device
        )
        status.level = DiagnosticStatus.WARN if refusal else DiagnosticStatus.OK
        status.message = refusal or f'{self._device} can take over'
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(message)
