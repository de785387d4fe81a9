"""A robot for tests over real DDS: its streams from the test, its policy_node as a process."""

from __future__ import annotations

import itertools
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import simplejpeg
from diagnostic_msgs.msg import DiagnosticArray
from lwd_policy_node.nodes import qos
from lwd_policy_node.profile import load_profile
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import CompressedImage, JointState

from lwd_msgs.msg import ActionChunk, Episode

STANDIN = Path(__file__).parents[2] / 'lwd_policy_node' / 'test' / 'standin_policy.py'
INSTRUCTION = 'put the red can on the shelf'
ROBOT = 'g1_01'
PATIENCE_S = 30.0

save_standin = runpy.run_path(str(STANDIN))['save_standin']


class Robot:
    """Cameras, joints and episodes of one robot, and its policy_node as a process."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.profile = load_profile('g1_laptop')
        self.chunks: list[Any] = []
        self.diagnostics: dict[str, str] = {}
        self.changed = threading.Condition()
        self.process: subprocess.Popen[bytes] | None = None
        self._context = Context()
        rclpy.init(context=self._context)
        node = rclpy.create_node('robot', namespace=f'/{ROBOT}', context=self._context)
        self._node = node
        self._episode = node.create_publisher(Episode, 'episode', qos.EPISODE)
        self._joints = node.create_publisher(JointState, 'joint_states', qos.JOINT_STATES)
        self._cameras = [
            node.create_publisher(CompressedImage, camera.topic, qos.CAMERA)
            for camera in self.profile.cameras
        ]
        self._jpeg = simplejpeg.encode_jpeg(np.zeros((64, 64, 3), np.uint8))
        node.create_subscription(ActionChunk, 'action_chunk', self._on_chunk, qos.ACTION_CHUNK)
        node.create_subscription(
            DiagnosticArray, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS
        )
        self._ticks = itertools.count()
        node.create_timer(1 / 30, self._tick)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def launch(self, program: tuple[str, ...] = (str(STANDIN),), **parameters: str) -> None:
        """Start policy_node: `program` is what Python runs, `parameters` are the node's."""
        command = [
            sys.executable, *program, '--ros-args',
            '-r', f'__ns:=/{ROBOT}', '-p', 'answer_timeout_s:=1.0', '-p', 'retry_s:=0.2',
        ]  # fmt: skip
        for name, value in parameters.items():
            command += ['-p', f'{name}:={value}']
        environment = {**os.environ, 'LWD_HOME': str(self.home), 'OMP_NUM_THREADS': '1'}
        self.process = subprocess.Popen(command, env=environment)

    def stop(self, number: int) -> int:
        """Send policy_node a signal; return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self.process = None
        return code

    def episode(self, name: str, state: int) -> None:
        """Announce the state of an episode."""
        now = self._node.get_clock().now().to_msg()
        message = Episode(state=state, episode_id=name, robot_id=ROBOT, kind='rollout')
        message.header.stamp = message.started = now
        message.instruction = INSTRUCTION
        self._episode.publish(message)

    def await_chunk(self, version: int) -> Any:
        """Wait for a chunk of a version; return it."""
        return self.await_(lambda: self._last_of(version), f'a chunk of version {version}')

    def await_(self, found: Callable[[], Any], what: str) -> Any:
        """Wait until `found()` is true; return it."""
        with self.changed:
            if not self.changed.wait_for(found, PATIENCE_S):
                raise AssertionError(f'no {what} within {PATIENCE_S} s; {self.diagnostics}')
            return found()

    def close(self) -> None:
        """End everything."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self._executor.shutdown()
        self._context.try_shutdown()
        self._thread.join()

    def _last_of(self, version: int) -> Any:
        return next((c for c in reversed(self.chunks) if c.policy_version == version), None)

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def _tick(self) -> None:
        tick = next(self._ticks)
        stamp = self._node.get_clock().now().to_msg()
        joints = JointState(name=list(self.profile.state_names))
        joints.position = [0.0] * len(self.profile.state_names)
        joints.header.stamp = stamp
        self._joints.publish(joints)
        if tick % 3 == 0:
            for camera in self._cameras:
                image = CompressedImage(format='jpeg', data=self._jpeg)
                image.header.stamp = stamp
                camera.publish(image)

    def _on_chunk(self, message: Any) -> None:
        with self.changed:
            self.chunks.append(message)
            self.changed.notify_all()

    def _on_diagnostics(self, message: Any) -> None:
        with self.changed:
            for status in message.status:
                self.diagnostics[status.name] = status.message
            self.changed.notify_all()
