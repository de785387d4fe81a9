"""teleop_node and arbiter_node in processes of their own, a robot in a third, devices and policy here, over DDS."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from lwd_policy_node.kinematics import ARM_BASE, TOOLS, Chain
from lwd_policy_node.nodes import qos
from lwd_policy_node.profile import load_profile
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Empty

from lwd_msgs.msg import ActionChunk, ControlMode, Episode, ExecutedAction
from lwd_msgs.srv import EndEpisode

pytestmark = pytest.mark.launch
PROFILE = load_profile('g1_laptop')
DT = PROFILE.control_period_s
HOLD, POLICY, HUMAN, ESTOP = range(4)
DEADMAN, FAILURE = 9, 4


class Stage:
    """A robot under a policy that stands still, an episode, and devices that repeat what they are set to."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.buttons: set[int] = set()
        self.axes = [0.0] * 6
        self.leader: npt.NDArray[np.float64] | None = None
        self.talking = True
        self.chunk_id = 0
        self.ends: list[EndEpisode.Request] = []
        node = bench.node
        self.executed = bench.collect(ExecutedAction, 'executed_action', qos.EXECUTED_ACTION)
        self.diagnostics = bench.collect(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        modes = bench.collect(ControlMode, 'control_mode', qos.CONTROL_MODE)
        self.joy_out = node.create_publisher(Joy, 'joy', qos.reliable(10))
        self.leader_out = node.create_publisher(
            JointState, 'leader/joint_states', qos.best_effort(5)
        )
        self.chunk_out = node.create_publisher(ActionChunk, 'action_chunk', qos.ACTION_CHUNK)
        self.alive_out = node.create_publisher(Empty, 'policy/alive', qos.HEARTBEAT)
        episode_out = node.create_publisher(Episode, 'episode', qos.EPISODE)
        node.create_service(EndEpisode, 'episode/end', self.on_end)
        node.create_subscription(JointState, 'joint_states', self.on_state, qos.JOINT_STATES)
        node.create_timer(0.05, self.on_device)
        node.create_timer(DT / 3, lambda: self.alive_out.publish(Empty()))
        bench.start('arbiter_node', profile='g1_laptop', episode_timeout_s=0.0)
        bench.start('echo_robot')
        bench.wait('the arbiter', lambda: any(m.reason == 'no_episode' for m in modes))
        started = node.get_clock().now().to_msg()
        episode_out.publish(Episode(state=Episode.RUNNING, episode_id='e1', started=started))
        self.wait_source(POLICY)

    def on_device(self) -> None:
        if not self.talking:
            return
        down = [int(index in self.buttons) for index in range(15)]
        self.joy_out.publish(Joy(axes=self.axes, buttons=down))
        if self.leader is not None:
            names, position = list(PROFILE.joint_names), (-self.leader).tolist()
            self.leader_out.publish(JointState(name=names, position=position))

    def on_state(self, message: JointState) -> None:
        self.chunk_id += 1
        chunk = ActionChunk(
            episode_id='e1',
            chunk_id=self.chunk_id,
            policy_version=5,
            joint_names=list(PROFILE.joint_names),
            step_s=DT,
            steps=16,
            actions=np.tile(PROFILE.home, 16).tolist(),
        )
        chunk.header.stamp = message.header.stamp
        self.chunk_out.publish(chunk)

    def on_end(
        self, request: EndEpisode.Request, reply: EndEpisode.Response
    ) -> EndEpisode.Response:
        self.ends.append(request)
        reply.ok = True
        return reply

    def wait_source(self, source: int) -> ExecutedAction:
        """The first executed action from now on with this source."""
        start = len(self.executed)
        found: list[ExecutedAction] = []

        def seen() -> bool:
            found.extend(e for e in self.executed[start:] if e.source == source)
            return bool(found)

        self.bench.wait(f'source {source}', seen)
        return found[0]

    def wait_can_take_over(self, said: str = '') -> None:
        """The source is ready, or says why it is not."""
        start = len(self.diagnostics)

        def told() -> bool:
            return any(
                status.name.endswith(': teleop') and said in status.message
                for array in self.diagnostics[start:]
                for status in array.status
            )

        self.bench.wait(f'diagnostics: {said}', told)

    def assert_smooth(self) -> None:
        """No step of what was executed breaks a speed limit."""
        positions = np.array([e.position for e in self.executed])
        assert (np.abs(np.diff(positions, axis=0)) <= PROFILE.limits('velocity') * DT + 1e-6).all()


def height(action: ExecutedAction) -> float:
    """Of the right hand over the arms' mount, m; the echo robot's waist is upright."""
    chain = Chain(TOOLS['r'], ARM_BASE)
    return float(chain.pose(np.array(action.position[7:14])).position[2])


@pytest.fixture
def make_stage(make_bench: Callable[..., Any]) -> Callable[[int], Stage]:
    return lambda domain: Stage(make_bench(domain, 'g1_01'))


def test_gamepad(make_stage: Callable[[int], Stage]) -> None:
    """Deadman pressed: HUMAN, without a jump; stick: the hand moves; released, or silent: not HUMAN; a button ends the
    episode.
    """
    stage = make_stage(161)
    stage.bench.start('teleop_node', profile='g1_laptop', source='gamepad')
    stage.wait_can_take_over('gamepad can take over')
    stage.buttons = {DEADMAN}
    first = stage.wait_source(HUMAN)
    assert first.reason == 'operator'
    np.testing.assert_allclose(first.wish, PROFILE.home, atol=1e-6)  # the targets in force
    stage.axes[3] = 1.0
    stage.bench.wait('the hand to move', lambda: height(stage.executed[-1]) - height(first) > 0.03)
    moved = stage.executed[-1]
    assert moved.source == HUMAN
    np.testing.assert_array_equal(
        moved.position[:7], first.position[:7]
    )  # the right hand is selected
    stage.axes[3] = 0.0
    stage.buttons = set()
    released = stage.wait_source(HOLD)
    assert released.reason == 'handback'
    stage.wait_source(POLICY)

    stage.buttons = {DEADMAN}
    stage.wait_source(HUMAN)
    stage.talking = False  # the pad's battery
    stage.wait_source(POLICY)
    stage.wait_can_take_over('Joy is silent')
    stage.talking, stage.buttons = True, {FAILURE}
    stage.bench.wait('the end of the episode', lambda: bool(stage.ends))
    assert (stage.ends[0].outcome, stage.ends[0].ended_by) == (Episode.OUTCOME_FAILURE, 'gamepad')
    stage.assert_smooth()


def test_leader_arm(make_stage: Callable[[int], Stage]) -> None:
    """It may not take over in another pose, and says which joint is off; in the robot's pose it may, and then leads.

    Its right gripper is not led, and its joints are turned the other way round.
    """
    stage = make_stage(162)
    names = [*PROFILE.joint_names[:15], '']
    signs = [-1.0] * 16
    stage.bench.start(
        'teleop_node',
        profile='g1_laptop',
        source='leader_arm',
        leader_joint_names=names,
        leader_signs=signs,
    )
    stage.leader = PROFILE.home.copy()
    stage.leader[1] += 0.5
    stage.wait_can_take_over('off idx22_arm_l_joint2 by +0.50 (tolerance 0.15)')
    stage.buttons = {DEADMAN}
    stage.wait_can_take_over("not in the robot's pose")
    assert all(e.source != HUMAN for e in stage.executed)
    stage.leader = PROFILE.home.copy()
    first = stage.wait_source(HUMAN)
    np.testing.assert_allclose(first.wish, PROFILE.home, atol=1e-6)
    stage.leader[1] += 0.2
    stage.bench.wait(
        'the robot to follow', lambda: stage.executed[-1].position[1] > PROFILE.home[1] + 0.19
    )
    assert stage.executed[-1].source == HUMAN
    stage.buttons = set()
    stage.wait_source(POLICY)
    stage.assert_smooth()


def test_keyboard(make_stage: Callable[[int], Stage]) -> None:
    """A real terminal: space takes over, r lifts the hand, silence hands back, Ctrl-C leaves it as it was."""
    stage = make_stage(163)
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    arguments = ['-m', 'lwd_policy_node.nodes.teleop_node', '--ros-args', '-r', '__ns:=/g1_01']
    arguments += ['-p', 'profile:=g1_laptop', '-p', 'source:=keyboard']
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env=stage.bench.environment,
        stdin=slave,
        start_new_session=True,
    )
    stage.bench.processes.append(process)
    stage.wait_can_take_over('keyboard can take over')
    os.write(master, b' ')
    first = stage.wait_source(HUMAN)

    def lifted() -> bool:
        os.write(master, b'r')  # as a terminal repeats a key
        return height(stage.executed[-1]) - height(first) > 0.01

    stage.bench.wait('the hand to move', lifted)
    stage.wait_source(POLICY)
    assert stage.bench.stop(process, signal.SIGINT) == 0
    assert termios.tcgetattr(slave) == before
    stage.assert_smooth()


def test_keyboard_without_a_terminal_is_one_clear_line(make_bench: Callable[..., Any]) -> None:
    """As in a launch file: exit code 2, not a node that hears nothing."""
    bench = make_bench(164, 'g1_01')
    read, write = os.pipe()
    arguments = ['-m', 'lwd_policy_node.nodes.teleop_node', '--ros-args', '-p', 'source:=keyboard']
    done = subprocess.run(
        [sys.executable, *arguments],
        env=bench.environment,
        stdin=read,
        stderr=subprocess.PIPE,
        timeout=30,
    )
    os.close(read)
    os.close(write)
    assert done.returncode == 2
    assert b'in a terminal of its own' in done.stderr
