"""The only writer of `joint_command`: feeds the arbiter and publishes what it decides.

Reads joint_states, action_chunk, policy/alive, teleop/command, episode, episode/alive; serves estop,
resume and set_mode; writes joint_command, executed_action, control_mode and /diagnostics.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.executors import Executor
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Empty
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lwd_msgs.msg import ActionChunk, ControlMode, Episode, ExecutedAction, TeleopCommand
from lwd_msgs.srv import SetMode
from lwd_policy_node.control import (
    Arbiter,
    Chunk,
    EpisodeState,
    Output,
    Source,
    Teleop,
)
from lwd_policy_node.control.priority import NO_EPISODE_NODE
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.arbiter_parameters import PARAMETERS, arbiter_config
from lwd_policy_node.nodes.control_loop import ControlLoop
from lwd_policy_node.nodes.parameters import declare
from lwd_policy_node.nodes.policy_probe import PolicyProbe
from lwd_policy_node.nodes.polling import PolledInputs
from lwd_policy_node.nodes.process import StartError, run_node
from lwd_policy_node.nodes.realtime import claim_realtime
from lwd_policy_node.nodes.wire import JointOrder, doubles, seconds, stamp_of
from lwd_policy_node.profile import load_profile
from lwd_policy_node.stop_signal import StopSignal

REPORT_PERIOD_S = 1.0
_TROUBLE = ('stale_state', NO_EPISODE_NODE)  # holds that somebody has to look after
_ALLOWS = {
    SetMode.Request.HOLD: (Source.HOLD, 'nobody may move the robot'),
    SetMode.Request.POLICY: (Source.POLICY, 'the policy may move the robot, and a human'),
    SetMode.Request.HUMAN: (Source.HUMAN, 'only a human may move the robot'),
}


class ArbiterNode(Node):
    """Parameters, topics and services around `control.Arbiter`."""

    def __init__(self) -> None:
        """Declare, subscribe, advertise."""
        super().__init__('arbiter_node')
        values = declare(self, PARAMETERS)
        self._profile = load_profile(values['profile'])
        simulated = self.get_parameter('use_sim_time').value
        period_s = self._profile.control_period_s
        try:
            config = arbiter_config(values, period_s=period_s, simulated=simulated)
            self._arbiter = Arbiter(self._profile, config)
        except ValueError as error:
            raise StartError(str(error)) from error
        names = list(self._profile.joint_names)
        self._state_order = JointOrder(names)
        self._chunk_order = JointOrder(names)
        self._teleop_order = JointOrder(names)
        self._wrong = np.zeros(0)
        self._last: Output | None = None
        self._teleop_off = ''  # since the last report: how far a human's clock is off

        rate_hz = values['control_rate_hz'] or self._profile.control_rate_hz
        period_ns = round(1e9 / rate_hz)
        point = JointTrajectoryPoint()
        point.time_from_start = Duration(
            sec=period_ns // 1_000_000_000, nanosec=period_ns % 1_000_000_000
        )
        self._command = JointTrajectory(joint_names=names, points=[point])
        self._executed = ExecutedAction(joint_names=names)
        self._mode = ControlMode(mode=ControlMode.HOLD, reason='no_state')

        self._command_out = self.create_publisher(
            JointTrajectory, 'joint_command', qos.JOINT_COMMAND
        )
        self._executed_out = self.create_publisher(
            ExecutedAction, 'executed_action', qos.EXECUTED_ACTION
        )
        self._mode_out = self.create_publisher(ControlMode, 'control_mode', qos.CONTROL_MODE)
        self._diagnostics_out = self.create_publisher(
            DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS
        )
        self._inputs = PolledInputs(self)
        self._inputs.add(Episode, 'episode', self._on_episode, qos.EPISODE_READER)
        self._inputs.add(JointState, 'joint_states', self._on_joint_state, qos.JOINT_STATES_READER)
        self._inputs.add(TeleopCommand, 'teleop/command', self._on_teleop, qos.TELEOP_READER)
        self._inputs.add(ActionChunk, 'action_chunk', self._on_chunk, qos.ACTION_CHUNK)
        self._inputs.add_arrivals(
            Empty, 'policy/alive', self._arbiter.heartbeat.beat, qos.HEARTBEAT
        )
        self._inputs.add_arrivals(
            Empty, 'episode/alive', self._arbiter.episode_heartbeat.beat, qos.HEARTBEAT
        )
        self._probe = PolicyProbe(self, self._arbiter.heartbeat.answer)
        self.create_service(Trigger, 'estop', self._on_estop)
        self.create_service(Trigger, 'resume', self._on_resume)
        self.create_service(SetMode, 'set_mode', self._on_set_mode)
        self._loop = ControlLoop(self, period_ns * 1e-9, self._on_tick, early=self._urgent)
        self._wall = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(REPORT_PERIOD_S, self._report, clock=self._wall)
        if values['realtime_priority'] and (
            refused := claim_realtime(values['realtime_priority'])
        ):
            self.get_logger().warning(refused)

    def run(self, executor: Executor, stopping: StopSignal) -> None:
        """Tick until the process is asked to leave."""
        gc.collect()
        gc.freeze()  # a full collection of all that was imported takes half a period
        self._loop.run(executor, stopping.is_set)

    # Inputs -------------------------------------------------------------------------------------

    def _now_s(self) -> float:
        return float(self.get_clock().now().nanoseconds) * 1e-9

    def _on_joint_state(self, message: JointState) -> None:
        position = self._state_order.pick(message.name, message.position)
        self._arbiter.on_joint_state(
            seconds(message.header.stamp),
            self._wrong if position is None else position,
            self._now_s(),
        )

    def _on_chunk(self, message: ActionChunk) -> None:
        columns = self._chunk_order.columns(message.joint_names)
        width = len(message.joint_names)
        actions = np.asarray(message.actions, dtype=np.float64)
        if columns is None or message.steps * width != actions.size:
            actions = np.zeros((0, 0))  # refused by the core as wrong_size
        else:
            actions = actions.reshape(message.steps, width)[:, columns]
        self._arbiter.on_chunk(
            Chunk(
                stamp_s=seconds(message.header.stamp),
                episode_id=message.episode_id,
                chunk_id=message.chunk_id,
                policy_version=message.policy_version,
                step_s=message.step_s,
                actions=actions,
            ),
            self._now_s(),
        )

    def _on_teleop(self, message: TeleopCommand) -> None:
        position = None
        if message.deadman:
            position = self._teleop_order.pick(message.joint_names, message.position)
        now_s = self._now_s()
        command = Teleop(
            stamp_s=seconds(message.header.stamp),
            deadman=message.deadman,
            position=self._wrong if position is None else position,
            reason=message.reason,
        )
        refused = self._arbiter.on_teleop(command, now_s)
        if refused in ('teleop_stale', 'teleop_future_stamp'):
            self._teleop_off = self._off(refused, command.stamp_s - now_s)

    def _off(self, refused: str, ahead_s: float) -> str:
        """One sentence about a human's command whose stamp is `ahead_s` ahead of the robot's clock."""
        config = self._arbiter.config
        side, limit = (
            ('ahead of', f'future_tolerance_s is {config.future_tolerance_s:g}')
            if ahead_s > 0.0
            else ('behind', f'teleop_timeout_s is {config.teleop_timeout_s:g}')
        )
        return (
            f"{refused}: a teleop/command is stamped {abs(ahead_s):.2f} s {side} the robot's clock, {limit}: "
            'keep the clock of the computer with teleop_node with this one'
        )

    def _on_episode(self, message: Episode) -> None:
        self._arbiter.episode_heartbeat.beat(
            time.monotonic()
        )  # kept for us, but by a living writer
        self._arbiter.on_episode(
            EpisodeState(
                episode_id=message.episode_id,
                running=message.state == Episode.RUNNING,
                started_s=seconds(message.started),
            )
        )

    def _on_estop(self, _: Trigger.Request, reply: Trigger.Response) -> Trigger.Response:
        self._arbiter.estop('estop_service')
        self.get_logger().warning('e-stop latched; call resume to leave it')
        reply.success, reply.message = True, 'stopped; call resume to go on'
        return reply

    def _on_resume(self, _: Trigger.Request, reply: Trigger.Response) -> Trigger.Response:
        reply.success = self._arbiter.resume()
        reply.message = (
            'resumed' if reply.success else self._arbiter.fault or 'no e-stop was latched'
        )
        return reply

    def _on_set_mode(self, asked: SetMode.Request, reply: SetMode.Response) -> SetMode.Response:
        if asked.mode not in _ALLOWS:
            reply.message = f'mode {asked.mode} is none of HOLD 0, POLICY 1, HUMAN 2'
            return reply
        source, reply.message = _ALLOWS[asked.mode]
        self._arbiter.allow(source, self._now_s())
        self.get_logger().info(f'set_mode: {reply.message}')
        reply.ok = True
        return reply

    def _urgent(self) -> bool:
        """Look in mid-period for a human, whom half a period is enough to keep waiting, and for a dead policy."""
        self._poll()
        return self._arbiter.urgent(self._now_s(), time.monotonic())

    # Output -------------------------------------------------------------------------------------

    def _poll(self) -> None:
        self._inputs.poll()
        self._probe.look()

    def _on_tick(self) -> None:
        self._poll()
        now_ns = self.get_clock().now().nanoseconds
        output = self._arbiter.tick(now_ns * 1e-9, time.monotonic())
        if output is None:
            return
        self._last = output
        if self._arbiter.fault:
            self.get_logger().fatal(
                f'e-stop: {self._arbiter.fault}, then start arbiter_node again',
                throttle_duration_sec=10.0,
            )
        stamp = stamp_of(now_ns)
        position = doubles(output.position)
        if output.sent:
            self._command.header.stamp = stamp
            self._command.points[0].positions = position
            self._command_out.publish(self._command)
        if output.live:
            self._publish_executed(output, stamp, position)
        if output.changed:
            self._publish_mode()

    def _publish_executed(self, output: Output, stamp: object, position: object) -> None:
        executed = self._executed
        executed.header.stamp = stamp
        executed.episode_id = output.episode_id
        executed.tick = output.tick
        executed.source = int(output.source)
        executed.position = position
        executed.wish = doubles(output.wish)
        executed.clamps = output.clamps.tobytes()
        executed.policy_version = output.policy_version
        executed.chunk_id = output.chunk_id
        executed.chunk_step = output.chunk_step
        executed.observation_age_s = output.observation_age_s
        executed.reason = output.reason
        self._executed_out.publish(executed)

    def _publish_mode(self) -> None:
        mode = self._mode
        mode.header.stamp = self.get_clock().now().to_msg()
        if self._last is not None:
            mode.mode = int(self._last.source)
            mode.previous = int(self._last.previous)
            mode.episode_id = self._last.episode_id
            mode.reason = self._last.reason
            mode.takeovers = self._last.takeovers
        self._mode_out.publish(mode)

    def _report(self) -> None:
        """Once a second: the mode, and what is wrong."""
        self._publish_mode()
        writers = self._writers()
        status = DiagnosticStatus(name=f'{self.get_namespace()}: arbiter', hardware_id='arbiter')
        if len(writers) > 1:
            status.level = DiagnosticStatus.ERROR
            status.message = (
                f'{len(writers)} publishers on {self._command_out.topic_name}: '
                f'{", ".join(writers)}; only one arbiter_node may write it: stop the others'
            )
            self.get_logger().error(status.message, throttle_duration_sec=10.0)
        elif unheard := self._inputs.incompatible():
            status.level = DiagnosticStatus.ERROR
            status.message = 'incompatible QoS: ' + '; '.join(unheard)
            self.get_logger().error(status.message, throttle_duration_sec=10.0)
        elif self._arbiter.fault:
            status.level = DiagnosticStatus.ERROR
            status.message = self._arbiter.fault
        elif self._last is None:
            status.level = DiagnosticStatus.STALE
            status.message = 'no joint_states yet'
        elif self._last.source is Source.ESTOP or self._last.reason in _TROUBLE:
            status.level = DiagnosticStatus.WARN
            status.message = self._last.reason
        elif self._teleop_off:
            status.level = DiagnosticStatus.WARN
            status.message = self._teleop_off
            self.get_logger().warning(status.message, throttle_duration_sec=10.0)
        else:
            status.level = DiagnosticStatus.OK
            status.message = self._last.source.name.lower()
        self._teleop_off = ''
        status.values = [
            KeyValue(key=f'rejected/{reason}', value=str(count))
            for reason, count in sorted(self._arbiter.rejected.items())
        ]
        status.values += [
            KeyValue(key=key, value=str(value))
            for key, value in (
                ('joint_command_publishers', len(writers)),
                ('policy_silences', self._arbiter.silences),
                ('policy_silences_ended', self._arbiter.silences_ended),
                ('heartbeat_gap_ms', round(self._arbiter.heartbeat.take_longest_gap_s() * 1e3, 1)),
            )
        ]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics_out.publish(message)

    def _writers(self) -> list[str]:
        """The nodes that publish joint_command, this one among them, sorted."""
        found = self.get_publishers_info_by_topic(self._command_out.topic_name)
        return sorted(f'{w.node_namespace.rstrip("/")}/{w.node_name}' for w in found)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `ros2 run lwd_policy_node arbiter_node`."""
    return run_node(ArbiterNode, args, run=ArbiterNode.run)


if __name__ == '__main__':
    sys.exit(main())
