"""The processes of one robot in a ROS domain of their own, and the bench's node that watches them.

Times are those of the writers: a message's source timestamp is taken by DDS when it is published, so
that a late bench measures nothing but itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import rclpy
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.wire import stamp_of
from lwd_policy_node.profile import load_profile
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from lwd_msgs.msg import ActionChunk, Episode, ExecutedAction, TeleopCommand
from tools.bench.runtime.checkpoint import INSTRUCTION, PROFILE, keep_checkpoint

ROBOT = 'bench_01'
DOMAIN = 190
PATIENCE_S = 120.0


class Frame(NamedTuple):
    """One executed_action: when it went out, and what it says."""

    out_ns: int
    stamp_ns: int
    source: int
    reason: str
    step: int
    age_s: float
    position: npt.NDArray[np.float64]


class Rig:
    """Starts the robot's processes in `home`; use it as a context manager."""

    def __init__(self, home: Path) -> None:
        self.profile = load_profile(PROFILE)
        self.checkpoint = keep_checkpoint(home, ROBOT)
        self._environment = {
            **os.environ,
            'ROS_DOMAIN_ID': str(DOMAIN),
            'LWD_HOME': str(home),
            'OMP_NUM_THREADS': '1',
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=DOMAIN)
        self.node = rclpy.create_node('bench', namespace=f'/{ROBOT}', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.frames: list[Frame] = []
        self.commands_ns: list[int] = []
        self.state_ns = 0
        """Stamp of the newest joint state."""
        self.chunks_ns: dict[int, int] = {}
        """When the chunk of each observation's stamp went out."""
        self._teleop = self.node.create_publisher(
            TeleopCommand, 'teleop/command', qos.teleop_writer(0.5)
        )
        self._episode = self.node.create_publisher(Episode, 'episode', qos.EPISODE)
        self.node.create_subscription(
            ExecutedAction, 'executed_action', self._on_executed, qos.EXECUTED_ACTION
        )
        self.node.create_subscription(
            JointTrajectory, 'joint_command', self._on_command, qos.reliable(100)
        )
        self.node.create_subscription(JointState, 'joint_states', self._on_state, qos.JOINT_STATES)
        self.node.create_subscription(
            ActionChunk, 'action_chunk', self._on_chunk, qos.ACTION_CHUNK
        )

    def __enter__(self) -> Rig:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def start(self, module: str, *arguments: str, core: int | None = None) -> Any:
        """Run a module as a process, on one core if given; kill it with `stop`, or leave it to the end."""
        pinned = [] if core is None else ['taskset', '-c', str(core)]
        process = subprocess.Popen(
            [*pinned, sys.executable, '-m', module, *arguments], env=self._environment
        )
        self._processes.append(process)
        return process

    def start_node(self, module: str, core: int | None = None) -> Any:
        """Run a module that is a node of the robot."""
        ros = ['--ros-args', '-r', f'__ns:=/{ROBOT}']
        if module.startswith('lwd'):
            ros += ['-p', f'profile:={PROFILE}']
        if module.endswith('arbiter_node'):  # the bench itself begins episodes, and has no pulse
            ros += ['-p', 'episode_timeout_s:=0.0']
        return self.start(module, *ros, core=core)

    def stop(self, process: Any) -> None:
        """Kill one process."""
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()

    def episode(self, name: str) -> None:
        """Begin an episode."""
        now = stamp_of(time.time_ns())
        message = Episode(state=Episode.RUNNING, episode_id=name, kind='rollout', started=now)
        message.header.stamp = now
        message.instruction = INSTRUCTION
        self._episode.publish(message)

    def teleop(self, deadman: bool) -> int:
        """Send a human's command to stay at home; when it was sent, ns."""
        command = TeleopCommand(deadman=deadman)
        if deadman:
            command.joint_names = list(self.profile.joint_names)
            command.position = self.profile.home
            command.reason = 'operator'
        sent_ns = time.time_ns()
        command.header.stamp = stamp_of(sent_ns)
        self._teleop.publish(command)
        return sent_ns

    def spin(self, seconds: float) -> None:
        """Take what arrives for so long."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=left_s)

    def wait(self, what: str, until: Callable[[], object]) -> None:
        """Take what arrives until `until()`.

        Raises:
            TimeoutError: that took longer than `PATIENCE_S`.
        """
        end_s = time.monotonic() + PATIENCE_S
        while not until():
            if time.monotonic() > end_s:
                raise TimeoutError(f'waited {PATIENCE_S:g} s for {what}')
            self._executor.spin_once(timeout_sec=0.05)

    def wait_source(self, source: int, reason: str | None = None) -> Frame:
        """The first frame from now on with this source and reason."""
        start = len(self.frames)

        def found() -> list[Frame]:
            new = self.frames[start:]
            return [f for f in new if f.source == source and reason in (None, f.reason)]

        self.wait(f'source {source} ({reason})', found)
        return found()[0]

    def _on_executed(self, message: ExecutedAction, info: Any) -> None:
        stamp = message.header.stamp
        self.frames.append(
            Frame(
                info['source_timestamp'],
                stamp.sec * 1_000_000_000 + stamp.nanosec,
                message.source,
                message.reason,
                message.chunk_step,
                message.observation_age_s,
                np.array(message.position),
            )
        )

    def _on_command(self, _: JointTrajectory, info: Any) -> None:
        self.commands_ns.append(info['source_timestamp'])

    def _on_state(self, message: JointState) -> None:
        stamp = message.header.stamp
        self.state_ns = stamp.sec * 1_000_000_000 + stamp.nanosec

    def _on_chunk(self, message: ActionChunk, info: Any) -> None:
        stamp = message.header.stamp
        self.chunks_ns[stamp.sec * 1_000_000_000 + stamp.nanosec] = info['source_timestamp']
