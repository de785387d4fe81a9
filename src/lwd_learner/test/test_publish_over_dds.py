"""Publisher and policy_node over real DDS: what a robot takes, what it refuses, and when it swaps."""

from __future__ import annotations

import importlib.util
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rclpy
import simplejpeg
from diagnostic_msgs.msg import DiagnosticArray
from lwd_learner.publish import Publisher
from lwd_policy_node.nodes import qos
from lwd_policy_node.profile import load_profile
from lwd_policy_node.weights import ensure_key_pair
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import CompressedImage, JointState

from lwd_msgs.msg import ActionChunk, Episode

STANDIN = Path(__file__).parents[2] / 'lwd_policy_node' / 'test' / 'standin_policy.py'
ROBOT = 'g1_01'
DOMAINS = itertools.count(150)
PATIENCE_S = 30.0

pytestmark = pytest.mark.launch


def _standin() -> ModuleType:
    spec = importlib.util.spec_from_file_location('standin_policy', STANDIN)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


save_standin = _standin().save_standin


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

    def launch(self) -> None:
        """Start policy_node."""
        command = [
            sys.executable, str(STANDIN), '--ros-args',
            '-r', f'__ns:=/{ROBOT}', '-p', 'answer_timeout_s:=1.0', '-p', 'retry_s:=0.2',
        ]  # fmt: skip
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
        message.instruction = 'put the red can on the shelf'
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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('ROS_DOMAIN_ID', str(next(DOMAINS)))
    ensure_key_pair(tmp_path / 'keys')
    return tmp_path


@pytest.fixture
def robot(home: Path) -> Iterator[Robot]:
    made = Robot(home)
    made.launch()
    yield made
    made.close()


@pytest.fixture
def learner(home: Path) -> Iterator[Publisher]:
    with Publisher(home / 'train', home / 'keys' / 'learner.ed25519') as publisher:
        yield publisher


def _publish(learner: Publisher, value: float, **options: Any) -> int:
    path = save_standin(learner.fleet.folder / 'policy.safetensors', value)
    return learner.publish(path, stage='online', step=1, **options)


def _await_event(learner: Publisher, version: int, event: str) -> Any:
    assert learner.fleet.wait_for(version, event, 1, PATIENCE_S), learner.fleet.events()
    return next(e for e in learner.fleet.events() if (e.version, e.event) == (version, event))


def test_weights_reach_the_robot_and_swap_between_episodes(
    robot: Robot, learner: Publisher
) -> None:
    """A robot without weights is silent, takes the first at once, later ones at the boundary."""
    name = f'{ROBOT}/policy_node: weights'
    robot.episode('first', Episode.RUNNING)
    robot.await_(lambda: 'no weights yet' in robot.diagnostics.get(name, ''), 'diagnostic')
    assert not robot.chunks

    one = _publish(learner, 0.25)
    loaded = _await_event(learner, one, 'loaded')
    assert loaded.transport == 'service' and loaded.transfer_s > 0
    assert 0 < loaded.delay_s < 10
    chunk = robot.await_chunk(one)
    assert chunk.episode_id == 'first'
    assert list(chunk.joint_names) == list(robot.profile.joint_names)
    assert np.allclose(np.reshape(chunk.actions, (chunk.steps, 16)), 0.25)

    two = _publish(learner, 0.5)
    _await_event(learner, two, 'loaded')
    seen = len(robot.chunks)
    robot.await_(lambda: len(robot.chunks) >= seen + 3, 'chunks after loading')
    assert {c.policy_version for c in robot.chunks} == {one}, 'swapped in mid-episode'
    assert not learner.fleet.wait_for(two, 'active', 1, 0.0)

    robot.episode('first', Episode.ENDED)
    _await_event(learner, two, 'active')
    robot.episode('second', Episode.RUNNING)
    assert robot.await_chunk(two).episode_id == 'second'
    versions = [c.policy_version for c in robot.chunks]
    assert versions == sorted(versions)
    assert robot.stop(signal.SIGINT) == 0


def test_a_foreign_key_is_refused_by_name_and_the_robot_goes_on(
    robot: Robot, learner: Publisher, home: Path
) -> None:
    """Weights signed by a key the robot does not trust never move it, and the refusal names it."""
    one = _publish(learner, 0.25)
    robot.episode('first', Episode.RUNNING)
    robot.await_chunk(one)
    foreign = ensure_key_pair(home / 'elsewhere', 'intruder')
    with Publisher(home / 'other', foreign.private_path, node_name='intruder') as intruder:
        for _ in range(2):
            refused_version = _publish(intruder, 0.75)
        event = _await_event(intruder, refused_version, 'refused')
    assert 'unknown key' in event.reason and foreign.key_id in event.reason
    assert f'goes on with version {one}' in event.reason
    seen = len(robot.chunks)
    robot.await_(lambda: len(robot.chunks) >= seen + 2, 'chunks after the refusal')
    assert {c.policy_version for c in robot.chunks} == {one}
    assert robot.stop(signal.SIGTERM) == 0


def test_a_nan_checkpoint_is_refused_and_the_next_good_one_taken(
    robot: Robot, learner: Publisher
) -> None:
    """A diverged learner's weights are refused with the tensor's name; the robot stays reachable."""
    one = _publish(learner, 0.25)
    _await_event(learner, one, 'active')
    bad = _publish(learner, float('nan'), check=False)
    event = _await_event(learner, bad, 'refused')
    assert 'non-finite tensor' in event.reason and 'bias' in event.reason
    three = _publish(learner, 0.5)
    _await_event(learner, three, 'active')
    robot.episode('first', Episode.RUNNING)
    robot.await_chunk(three)
    assert {c.policy_version for c in robot.chunks} == {three}


def test_kill_9_brings_back_the_last_good_weights_and_the_episode(
    robot: Robot, home: Path
) -> None:
    """A killed policy_node goes on in the same episode with its own weights, learner or not."""
    with Publisher(home / 'train', home / 'keys' / 'learner.ed25519') as learner:
        one = _publish(learner, 0.25)
        robot.episode('first', Episode.RUNNING)
        robot.await_chunk(one)
        two = _publish(learner, 0.5)
        _await_event(learner, two, 'loaded')  # in standby: the episode runs
    robot.stop(signal.SIGKILL)
    robot.chunks.clear()
    robot.launch()
    chunk = robot.await_chunk(one)
    assert chunk.episode_id == 'first'
    assert np.allclose(chunk.actions, 0.25)

    with Publisher(home / 'train', home / 'keys' / 'learner.ed25519') as learner:
        robot.episode('first', Episode.ENDED)
        _await_event(learner, two, 'active')  # announced again by the restarted learner
        assert _publish(learner, 0.75) == two + 1


def test_weights_that_fail_in_use_are_gone_back_from(robot: Robot, learner: Publisher) -> None:
    """Weights that pass every check and then fail on real observations are undone by the robot."""
    one = _publish(learner, 0.25)
    _await_event(learner, one, 'active')
    two = _publish(learner, 1e7)
    _await_event(learner, two, 'active')
    robot.episode('first', Episode.RUNNING)
    event = _await_event(learner, two, 'rolled_back')
    assert 'absurd' in event.reason and f'went back to version {one}' in event.reason
    robot.await_chunk(one)


def test_the_newest_of_several_wins_and_a_cut_is_survived(robot: Robot, home: Path) -> None:
    """A learner that goes away in mid-pull is waited for; then the newest version is taken."""
    path = home / 'policy.safetensors'

    def publish(learner: Publisher, value: float) -> int:
        save_standin(path, value, extra_values=12_000_000)
        return learner.publish(path, stage='sft', step=1)

    name = f'{ROBOT}/policy_node: weights'
    key = home / 'keys' / 'learner.ed25519'
    with Publisher(home / 'train', key) as learner:
        publish(learner, 0.25)
        robot.await_(lambda: 'version 1' in robot.diagnostics.get(name, ''), 'pull under way')
    with Publisher(home / 'train', key) as learner:
        publish(learner, 0.5)
        three = publish(learner, 0.75)
        _await_event(learner, three, 'active')
        assert not [e for e in learner.fleet.events() if e.event == 'refused']
    robot.episode('first', Episode.RUNNING)
    assert np.allclose(robot.await_chunk(three).actions, 0.75)
