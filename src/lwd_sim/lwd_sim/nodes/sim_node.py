"""A simulated G1 on the topics of a real one: cameras, joint_states, joint_command; plus /clock, sim/state, sim/reset.

One thread. At every tick of simulated time: publish what the robot measures, then the clock, wait until the next tick
is due, apply the newest joint_command, step. Between commands the last target is held, between episodes too.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.parameters import declare, on_change
from lwd_policy_node.nodes.polling import PolledInputs
from lwd_policy_node.nodes.process import StartError, run_node
from lwd_policy_node.nodes.wire import JointOrder
from lwd_policy_node.profile import load_profile
from lwd_policy_node.stop_signal import StopSignal
from rclpy.executors import Executor
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, JointState
from trajectory_msgs.msg import JointTrajectory

from lwd_msgs.msg import SimState
from lwd_msgs.srv import ResetSim
from lwd_sim.nodes.robot_messages import RobotMessages, stamp_of
from lwd_sim.nodes.sim_clock import Pacer, first_stamp_ns
from lwd_sim.nodes.sim_parameters import PARAMETERS
from lwd_sim.rendering.gl_backend import RenderingUnavailableError
from lwd_sim.tasks import Shift
from lwd_sim.world import UnstableError, World

_SETTLE_S = 1.0  # after a reset, commands made for the old pose are refused for at most this long (simulated)
_SETTLE_ERROR = (
    0.25  # rad or gripper fraction: nearer than this, a command is made for the new pose
)
_POLL_S = 0.0005
_APART = (
    2**52
)  # between the seed of a scene that blew up and the one shown instead: no episode has that one


class SimNode(Node):
    """The robot: a world, its publishers, and the newest command."""

    def __init__(self) -> None:
        """Build the first scene; the robot stands in it until somebody resets or commands."""
        own_time = RosParameter('use_sim_time', value=False)  # this node makes the time
        super().__init__('sim_node', parameter_overrides=[own_time])
        self.values = declare(self, PARAMETERS)
        on_change(self, PARAMETERS, self._on_change)
        try:
            profile = load_profile(self.values['profile'])
            self._world = World(profile, render=self.values['render'])
            self._now_ns = first_stamp_ns(self.values['real_time_factor'], time.time())
            self.pacer = Pacer(profile.control_period_s, self.values['real_time_factor'])
            self._show(self.values['task'], self.values['seed'], self.values['shift'])
        except (ValueError, RenderingUnavailableError) as error:
            raise StartError(str(error)) from error
        self._settle_until_ns = 0
        self._messages = RobotMessages(profile)
        self._order = JointOrder(profile.joint_names)
        self._period_ns = round(1e9 / profile.control_rate_hz)
        self._commands = 0

        self._clock_out = self.create_publisher(Clock, '/clock', qos.CLOCK)
        self._joints_out = self.create_publisher(JointState, 'joint_states', qos.JOINT_STATES)
        self._state_out = self.create_publisher(SimState, 'sim/state', qos.SIM_STATE)
        self._cameras_out = {
            camera.name: self.create_publisher(CompressedImage, camera.topic, qos.CAMERA)
            for camera in profile.cameras
        }
        self._inputs = PolledInputs(self)
        self._inputs.add(JointTrajectory, 'joint_command', self._on_command, qos.JOINT_COMMAND)
        self.create_service(ResetSim, 'sim/reset', self._on_reset)
        self._clock = Clock()

    def publish(self) -> None:
        """Put the present tick on the topics; the clock last, so that whoever wakes on it sees the rest."""
        stamp = stamp_of(self._now_ns)
        for camera, pixels in self._observation.images.items():
            self._cameras_out[camera].publish(self._messages.image(camera, pixels, stamp))
        self._joints_out.publish(self._messages.joint_state(self._observation, stamp))
        self._state_out.publish(self._messages.sim_state(self._world, self._scene[1], stamp))
        self._clock.clock = stamp
        self._clock_out.publish(self._clock)
        self._fresh_scene = False

    def wait(self) -> None:
        """Let the wall catch up; at factor 0, wait for the command of this tick if anybody sends any."""
        left = self.pacer.left_s()
        if left > 0:
            time.sleep(left)
        elif self.pacer.factor == 0 and self._commands > 0:
            self._await_command()
        self._inputs.poll()

    def step(self) -> None:
        """One control tick under the newest command, or the last target."""
        self._now_ns += self._period_ns
        self.pacer.ticked()
        self._tell_speed()
        if self._fresh_scene:  # reset while waiting: its first picture has not been shown yet
            return
        action = self._world.scene.data.ctrl[: len(self._order_names)]
        if self._wish is not None:
            action = self._wish
        try:
            self._observation = self._world.step(action)
        except UnstableError as error:
            self._abandon(error)

    @property
    def _order_names(self) -> tuple[str, ...]:
        return self._world.profile.joint_names

    def run(self, executor: Executor, stopping: StopSignal) -> None:
        """Tick until the process is asked to leave, then free the OpenGL context."""
        try:
            self._work(executor, stopping)
        finally:
            self._world.close()

    def _work(self, executor: Executor, stopping: StopSignal) -> None:
        served_s = 0.0
        while not stopping.is_set():
            self.publish()
            now_s = time.monotonic()
            if now_s - served_s >= self.values['service_period_s']:
                served_s = now_s
                executor.spin_once(timeout_sec=0.0)
            self.wait()
            self.step()

    def _await_command(self) -> None:
        before, until = self._commands, time.monotonic() + self.values['lockstep_timeout_s']
        while self._commands == before:
            self._inputs.poll()
            if time.monotonic() > until:
                self._commands = 0  # nobody commands any more: run free until somebody does
                return
            time.sleep(_POLL_S)

    def _on_command(self, message: JointTrajectory) -> None:
        self._commands += 1
        target = None
        if message.points:
            target = self._order.pick(message.joint_names, message.points[0].positions)
        if target is None or not np.isfinite(target).all():
            self.get_logger().warning(
                f'joint_command refused: {len(message.joint_names)} joints, {len(message.points)} points; it must name '
                f'all of {", ".join(self._order_names)} with one point of finite positions',
                throttle_duration_sec=5.0,
            )
            return
        if self._now_ns < self._settle_until_ns:
            held = self._world.scene.data.ctrl[: target.size]
            if np.abs(target - held).max() > _SETTLE_ERROR:
                return
            self._settle_until_ns = 0
        self._wish = target

    def _on_reset(self, request: ResetSim.Request, reply: ResetSim.Response) -> ResetSim.Response:
        shift = request.shift or self.values['shift']
        try:
            self._show(request.task, request.seed, shift)
        except (KeyError, ValueError, RenderingUnavailableError) as error:
            reply.ok, reply.message = False, str(error.args[0])
            return reply
        reply.ok, reply.instruction = True, self._world.instruction
        reply.time_limit_s = self._world.time_limit_s
        return reply

    def _show(self, task: str, seed: int, shift: Shift) -> None:
        """Build a scene; nothing that was commanded before is for it."""
        self._observation = self._world.reset(task, seed, shift)
        self._scene = task, seed, shift
        self._wish: npt.NDArray[np.float64] | None = None
        self._fresh_scene = True
        self._settle_until_ns = self._now_ns + int(_SETTLE_S * 1e9)
        self.pacer.watch_anew()

    def _abandon(self, error: UnstableError) -> None:
        """Go on in a scene of another seed: episode_node aborts an episode whose scene is gone."""
        task, seed, shift = self._scene
        self.get_logger().error(f'{error}; an episode in it is aborted, another scene is shown')
        self._show(task, seed ^ _APART, shift)

    def _tell_speed(self) -> None:
        achieved = self.pacer.behind()
        if achieved is not None:
            self.get_logger().warning(
                f'real_time_factor {self.pacer.factor:g} is not held: time runs at {achieved:.2f}, and commands act a '
                'tick later than recorded; for data set a factor that is held, or render less',
                throttle_duration_sec=30.0,
            )

    def _on_change(self, values: Mapping[str, Any]) -> None:
        factor = values.get('real_time_factor')
        if factor is not None and math.isfinite(factor):
            self.pacer.set_factor(factor)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of ``ros2 run lwd_sim sim_node``."""
    return run_node(SimNode, args, run=SimNode.run)


if __name__ == '__main__':
    sys.exit(main())
