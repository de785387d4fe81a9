"""The simulated robot over real DDS is the in-process world, and its teleoperator rescues an idle robot."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
import simplejpeg
from lwd_policy_node.nodes import qos
from lwd_policy_node.profile import RobotProfile
from lwd_sim.nodes.sim_node import SimNode
from lwd_sim.operator import Operator, Skill
from lwd_sim.world import World
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lwd_msgs.msg import Episode, ExecutedAction, SimState
from lwd_msgs.srv import ResetSim, StartEpisode

pytestmark = pytest.mark.launch
ROBOT = 'g1_77'
TIMEOUT_S = 60.0
EVERY = QoSProfile(depth=5000)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Listener:
    """A node that keeps what the robot says, in a context of its own."""

    def __init__(self, domain: int) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node('listener', namespace=ROBOT, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.states: list[SimState] = []
        self.joints: list[JointState] = []
        self.clocks: list[int] = []
        self.images: dict[tuple[str, int], CompressedImage] = {}
        node = self.node
        node.create_subscription(SimState, 'sim/state', self.states.append, EVERY)
        node.create_subscription(JointState, 'joint_states', self.joints.append, EVERY)
        node.create_subscription(Clock, 'clock', self.on_clock, EVERY)
        for camera in ('head', 'hand_left', 'hand_right'):
            node.create_subscription(
                CompressedImage,
                f'camera/{camera}/image/compressed',
                lambda message, camera=camera: self.on_image(camera, message),
                qos.CAMERA,
            )
        self.command = node.create_publisher(JointTrajectory, 'joint_command', qos.JOINT_COMMAND)
        self.reset_client = node.create_client(ResetSim, 'sim/reset')

    def on_clock(self, message: Clock) -> None:
        self.clocks.append(message.clock.sec * 1_000_000_000 + message.clock.nanosec)

    def on_image(self, camera: str, message: CompressedImage) -> None:
        stamp = message.header.stamp
        self.images[camera, stamp.sec * 1_000_000_000 + stamp.nanosec] = message

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < end, 'timed out'
            self.executor.spin_once(timeout_sec=0.1)

    def reset(self, task: str, seed: int, shift: str = '') -> ResetSim.Response:
        self.until(self.reset_client.service_is_ready)
        future = self.reset_client.call_async(ResetSim.Request(task=task, seed=seed, shift=shift))
        self.until(future.done)
        reply = future.result()
        if reply.ok:
            self.until(lambda: bool(self.states) and self.states[-1].seed == seed)
        return reply

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def start(domain: int, package: str, executable: str, **parameters: object) -> subprocess.Popen:
    command = ['ros2', 'run', package, executable, '--ros-args']
    command += ['-r', f'__ns:=/{ROBOT}', '-r', '/clock:=clock']
    for name, value in parameters.items():
        command += ['-p', f'{name}:={value}']
    return subprocess.Popen(command, env={**os.environ, 'ROS_DOMAIN_ID': str(domain)})


def stop(process: subprocess.Popen) -> int:
    process.send_signal(signal.SIGINT)
    return process.wait(timeout=20)


@pytest.fixture
def robot() -> Iterator[Listener]:
    process = start(112, 'lwd_sim', 'sim_node', real_time_factor=2.0)
    listener = Listener(112)
    yield listener
    listener.close()
    assert stop(process) == 0


def test_commands_over_dds_give_the_trajectory_of_the_world_in_process(
    robot: Listener, world: World, profile: RobotProfile
) -> None:
    reply = robot.reset('restock', 9, 'shift')
    assert reply.ok
    assert reply.time_limit_s == 8.0
    world.reset('restock', 9, 'shift')
    assert reply.instruction == world.instruction
    operator = Operator(world, Skill.expert(), 0)
    names = list(profile.joint_names)

    def obey() -> None:
        """Command what an expert would, from the newest state that was heard."""
        newest = robot.states[-1]
        world.restore('restock', 9, 'shift', newest.qpos, newest.qvel, newest.ctrl)
        point = JointTrajectoryPoint(positions=operator.act().tolist())
        robot.command.publish(JointTrajectory(joint_names=names, points=[point]))

    heard = 0
    while len(robot.states) < 2000 and not robot.states[-1].success:
        robot.until(lambda seen=heard: len(robot.states) > seen)
        heard = len(robot.states)
        obey()
    assert robot.states[-1].success

    first = next(i for i, s in enumerate(robot.states) if (s.seed, s.tick) == (9, 0))
    ticks = robot.states[first:]
    assert [state.tick for state in ticks] == list(range(len(ticks)))  # reliable: none is missing
    twin = World(profile, render=False)
    twin.reset('restock', 9, 'shift')
    for state in ticks:
        if state.tick:
            twin.step(np.array(state.ctrl[:16]))
        assert np.array(state.qpos).tobytes() == twin.snapshot().qpos.tobytes()
        assert np.array(state.label, np.float32).tobytes() == twin.label().tobytes()
        assert (state.success, state.progress) == (twin.success, twin.progress)
    assert list(robot.states[-1].label_names) == list(twin.label_names)


def test_cameras_joints_and_clock_are_those_of_a_robot(
    robot: Listener, seeing: World, profile: RobotProfile
) -> None:
    robot.reset('restock', 4)
    robot.until(lambda: robot.states[-1].tick >= 9)
    expected = seeing.reset('restock', 4)
    origin = next(s for s in robot.states if (s.seed, s.tick) == (4, 0)).header.stamp
    origin_ns = origin.sec * 1_000_000_000 + origin.nanosec
    for camera, picture in expected.images.items():
        message = robot.images[camera, origin_ns]
        assert message.format == 'jpeg'
        decoded = simplejpeg.decode_jpeg(message.data.tobytes()).astype(int)
        assert np.abs(decoded - picture).mean() < 6
    joints = robot.joints[-1]
    assert tuple(joints.name) == profile.state_names
    positions = expected.state[: len(profile.state_names)]
    np.testing.assert_allclose(joints.position, positions, atol=0.01)

    robot.reset('restock', 5)  # the clock goes on over resets
    steps = np.diff(robot.clocks)
    assert len(steps) > 5
    assert (steps > 0).all()
    stamps = np.array([s.header.stamp.sec * 1e9 + s.header.stamp.nanosec for s in robot.states])
    assert np.allclose(np.diff(stamps), 1e9 / 30, atol=1e3)


def test_bad_requests_and_commands_leave_the_robot_as_it_is(
    robot: Listener, profile: RobotProfile
) -> None:
    robot.reset('restock', 3)
    reply = robot.reset('juggle', 1)
    assert not reply.ok
    assert 'restock' in reply.message
    assert not robot.reset('restock', 1, 'wild').ok
    names = list(profile.joint_names)
    bad = [
        JointTrajectory(joint_names=names),
        JointTrajectory(joint_names=names[:3], points=[JointTrajectoryPoint(positions=[0.0] * 3)]),
        JointTrajectory(
            joint_names=names, points=[JointTrajectoryPoint(positions=[float('nan')] * 16)]
        ),
    ]
    for message in bad:
        before = robot.states[-1].tick
        robot.command.publish(message)
        robot.until(lambda seen=before: robot.states[-1].tick > seen + 3)
    assert robot.states[-1].seed == 3
    np.testing.assert_allclose(robot.states[-1].ctrl[:16], profile.home)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimNode]:
    """A simulator in this process, so that its world can be broken."""
    monkeypatch.setenv('ROS_DOMAIN_ID', '114')
    rclpy.init(
        args=['--ros-args', '-r', f'__ns:=/{ROBOT}', '-r', '/clock:=clock', '-p', 'seed:=9']
    )
    node = SimNode()
    yield node
    node._world.close()
    node.destroy_node()
    rclpy.shutdown()


def test_a_simulation_that_blows_up_ends_its_scene(node: SimNode) -> None:
    """With another seed than the running episode's, which episode_node takes for its end: aborted, by simulator."""
    listener = Listener(114)

    def ticks(count: int) -> None:
        for _ in range(count):
            node.publish()
            node.step()
            listener.executor.spin_once(timeout_sec=0.1)

    listener.until(lambda: ticks(1) or len(listener.states) > 3)
    node._wish = np.full(16, 0.1)
    node._world.scene.data.qvel[:] = 1e11
    ticks(4)
    listener.until(lambda: listener.states[-1].tick == 2 and listener.states[-1].seed != 9)
    others = [state for state in listener.states if state.seed != 9]
    assert [(state.task, state.tick) for state in others] == [('restock', i) for i in range(3)]
    assert listener.states[-3:] == others
    assert all(np.isfinite(state.qpos).all() for state in listener.states)
    np.testing.assert_allclose(others[-1].ctrl[:16], node._world.profile.home)
    listener.close()


def test_an_episode_is_aborted_when_its_simulation_blows_up(node: SimNode, tmp_path: Path) -> None:
    episodes = start(
        114, 'lwd_policy_node', 'episode_node', simulator='true', journal=tmp_path / 'episode.json'
    )
    listener, executor = Listener(114), SingleThreadedExecutor()
    executor.add_node(node)
    heard: list[Episode] = []
    listener.node.create_subscription(Episode, 'episode', heard.append, LATCHED)
    client = listener.node.create_client(StartEpisode, 'episode/start')

    def simulated(condition: Callable[[], bool]) -> Callable[[], bool]:
        def tick() -> bool:
            node.publish()
            executor.spin_once(timeout_sec=0.0)
            node.step()
            return condition()

        return tick

    pending: list[Future] = []

    def started() -> bool:  # refused until episode_node has found the simulator
        if not pending or (pending[-1].done() and not pending[-1].result().ok):
            pending.append(client.call_async(StartEpisode.Request(task='restock', seed=5)))
        return pending[-1].done() and heard[-1].state == Episode.RUNNING

    listener.until(simulated(client.service_is_ready))
    listener.until(simulated(started))
    node._world.scene.data.qvel[:] = 1e11
    listener.until(simulated(lambda: heard[-1].state == Episode.ENDED))
    assert (heard[-1].outcome, heard[-1].ended_by) == (Episode.OUTCOME_ABORTED, 'simulator')
    assert heard[-1].seed == 5
    listener.close()
    assert stop(episodes) == 0


def test_a_scene_that_cannot_be_drawn_is_refused(
    node: SimNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('MUJOCO_GL', 'disable')  # no new context from here on
    request = ResetSim.Request(task='handover', seed=3)
    reply = node._on_reset(request, ResetSim.Response())
    assert not reply.ok
    assert 'install libegl1' in reply.message
    node.publish()
    node.step()
    assert (node._world.task.name, node._world.tick) == ('restock', 1)


def test_what_cannot_be_simulated_is_said_in_a_sentence(odd_profile: str) -> None:
    for profile, said in (('g1_laptop', 'render:=false'), (odd_profile, 'control_rate_hz 50')):
        command = ['ros2', 'run', 'lwd_sim', 'sim_node', '--ros-args', '-p', f'profile:={profile}']
        environment = {**os.environ, 'ROS_DOMAIN_ID': '114', 'MUJOCO_GL': 'disable'}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60, env=environment
        )
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert 'Traceback' not in done.stderr


def test_the_scripted_operator_rescues_a_robot_that_nobody_moves() -> None:
    domain = 113
    processes = [
        start(domain, 'lwd_sim', 'sim_node', real_time_factor=3.0, render=False, shift='shift'),
        start(domain, 'lwd_policy_node', 'arbiter_node', profile='g1_laptop', use_sim_time=True),
        start(
            domain,
            'lwd_policy_node',
            'teleop_node',
            profile='g1_laptop',
            source='scripted',
            operator_patience_s=0.5,
            use_sim_time=True,
        ),
    ]
    robot = Listener(domain)
    executed: list[ExecutedAction] = []
    robot.node.create_subscription(ExecutedAction, 'executed_action', executed.append, EVERY)
    publisher = robot.node.create_publisher(Episode, 'episode', LATCHED)
    robot.reset('restock', 21)
    newest = robot.states[-1]
    publisher.publish(
        Episode(
            header=newest.header,
            state=Episode.RUNNING,
            episode_id='test-1',
            robot_id=ROBOT,
            task='restock',
            seed=21,
            started=newest.header.stamp,
        )
    )
    robot.until(lambda: robot.states[-1].success)
    sources = {message.source for message in executed}
    reasons = {message.reason for message in executed if message.source == 2}
    assert sources == {ExecutedAction.SOURCE_HOLD, ExecutedAction.SOURCE_HUMAN}
    assert reasons == {'stall'}
    assert robot.states[-1].tick / 30 < 8.0
    robot.close()
    assert [stop(process) for process in processes] == [0, 0, 0]
