"""arbiter_node in its own process, a robot in another, over DDS."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.wire import seconds, stamp_of
from lwd_policy_node.profile import load_profile
from sensor_msgs.msg import JointState
from std_msgs.msg import Empty
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from lwd_msgs.msg import ActionChunk, ControlMode, Episode, ExecutedAction, TeleopCommand
from lwd_msgs.srv import SetMode

pytestmark = pytest.mark.launch
PROFILE = load_profile('g1_laptop')
DT = PROFILE.control_period_s
NAMES = list(PROFILE.joint_names)
HOLD, POLICY, HUMAN, ESTOP = range(4)


class Robot:
    """A robot under test: a policy and a human who act at every joint state."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.planning = True
        self.human_offset: float | None = None
        self.held = False
        self.chunk_id = 0
        node = bench.node
        self.executed = bench.collect(ExecutedAction, 'executed_action', qos.EXECUTED_ACTION)
        self.modes = bench.collect(ControlMode, 'control_mode', qos.CONTROL_MODE)
        self.diagnostics = bench.collect(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        self.episode_out = node.create_publisher(Episode, 'episode', qos.EPISODE)
        self.chunk_out = node.create_publisher(ActionChunk, 'action_chunk', qos.ACTION_CHUNK)
        self.teleop_out = node.create_publisher(
            TeleopCommand, 'teleop/command', qos.teleop_writer(0.5)
        )
        node.create_subscription(JointState, 'joint_states', self.on_state, qos.JOINT_STATES)
        self.alive_out = node.create_publisher(Empty, 'policy/alive', qos.HEARTBEAT)
        node.create_timer(DT / 3, self.beat)
        # The bench beats in its only thread, between all that it reads.
        self.process = bench.start(
            'arbiter_node', profile='g1_laptop', policy_timeout_s=1.0, episode_timeout_s=0.0
        )
        self.robot = bench.start('echo_robot')
        bench.wait('the arbiter', lambda: any(m.reason == 'no_episode' for m in self.modes))
        started = bench.node.get_clock().now().to_msg()
        self.episode_out.publish(Episode(state=Episode.RUNNING, episode_id='e1', started=started))

    def beat(self) -> None:
        self.alive_out.publish(Empty())

    def on_state(self, message: JointState) -> None:
        if self.planning and message.header.stamp.nanosec % 2 == 0:
            self.send_chunk(message.header.stamp)
        if self.human_offset is not None:
            self.teleop_out.publish(
                TeleopCommand(
                    header=message.header,
                    deadman=True,
                    joint_names=NAMES[::-1],  # another order than ours
                    position=(PROFILE.home + self.human_offset * (np.arange(16) < 14))[::-1],
                    reason='stall',
                )
            )
            self.held = True
        elif self.held:
            self.teleop_out.publish(TeleopCommand(header=message.header, deadman=False))
            self.held = False

    def send_chunk(self, stamp: Any) -> None:
        self.chunk_id += 1
        plan = PROFILE.home + 0.002 * np.arange(1, 17)[:, None] * (np.arange(16) < 14)
        chunk = ActionChunk(
            episode_id='e1',
            chunk_id=self.chunk_id,
            policy_version=5,
            joint_names=NAMES,
            step_s=DT,
            steps=16,
            actions=plan.ravel().tolist(),
        )
        chunk.header.stamp = stamp
        self.chunk_out.publish(chunk)

    def wait_source(self, source: int, reason: str | None = None) -> ExecutedAction:
        """The first executed action from now on with this source and reason."""
        start = len(self.executed)

        def found() -> list[ExecutedAction]:
            return [
                e
                for e in self.executed[start:]
                if e.source == source and reason in (None, e.reason)
            ]

        self.bench.wait(f'source {source} ({reason})', lambda: bool(found()))
        return found()[0]

    def assert_stream_is_sound(self) -> None:
        """No tick is missing, no limit broken, no frame without provenance."""
        ticks = [e.tick for e in self.executed]
        assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))
        positions = np.array([e.position for e in self.executed])
        speed = np.abs(np.diff(positions, axis=0)) / DT
        assert (speed <= PROFILE.limits('velocity') + 1e-6).all()
        for e in self.executed:
            assert e.joint_names == NAMES and e.episode_id == 'e1'
            assert (e.policy_version, e.chunk_id > 0) == (
                (5, True) if e.source == POLICY else (0, False)
            )
            assert e.reason or e.source == POLICY


@pytest.fixture
def robot(make_bench: Callable[..., Any]) -> Iterator[Robot]:
    yield Robot(make_bench(121, 'g1_01'))


def test_takeover_in_mid_chunk_and_hand_back(robot: Robot) -> None:
    """A human takes over from a running policy, loses no frame, and hands back to chunks made after
    that; all without a jump.
    """
    robot.wait_source(POLICY)
    robot.human_offset = 0.1
    first = robot.wait_source(HUMAN)
    assert first.reason == 'stall'
    robot.bench.wait(
        'the human to arrive', lambda: robot.executed[-1].position[0] > PROFILE.home[0] + 0.099
    )
    robot.human_offset = None
    robot.wait_source(HOLD, 'handback')
    released = robot.executed[-1]
    back = robot.wait_source(POLICY)
    assert (
        seconds(back.header.stamp) - back.observation_age_s >= seconds(released.header.stamp) - DT
    )
    robot.assert_stream_is_sound()
    sources = [e.source for e in robot.executed]
    spells = [s for i, s in enumerate(sources) if i == 0 or sources[i - 1] != s]
    assert spells[-4:] == [POLICY, HUMAN, HOLD, POLICY]
    assert robot.modes[-1].takeovers == 1


def test_silent_policy_and_silent_robot_are_held(robot: Robot) -> None:
    """A policy that lives and plans no more is held when its plan ends; a robot that stops, when its
    state is old.
    """
    robot.wait_source(POLICY)
    robot.planning = False
    held = robot.wait_source(HOLD, 'stale_chunk')
    last = [e for e in robot.executed if e.source == POLICY][-1]
    assert last.chunk_step == 15
    assert np.abs(np.array(held.position) - np.array(last.position)).max() < 0.01
    robot.planning = True
    robot.wait_source(POLICY)
    robot.robot.send_signal(signal.SIGSTOP)
    robot.wait_source(HOLD, 'stale_state')
    robot.robot.send_signal(signal.SIGCONT)
    robot.wait_source(POLICY)
    robot.assert_stream_is_sound()


@pytest.mark.parametrize(
    ('off_s', 'why'),
    [
        (-1.0, ('teleop_stale', 'behind', 'teleop_timeout_s is 0.25')),
        (2.0, ('teleop_future_stamp', 'ahead', 'future_tolerance_s is 0.5')),
    ],
)
def test_operator_whose_clock_is_off_is_told(
    robot: Robot, off_s: float, why: tuple[str, ...]
) -> None:
    """The takeover does nothing, and /diagnostics says why."""
    robot.wait_source(POLICY)

    def told() -> bool:
        command = TeleopCommand(deadman=True, joint_names=NAMES, position=PROFILE.home.tolist())
        now_ns = robot.bench.node.get_clock().now().nanoseconds
        command.header.stamp = stamp_of(now_ns + round(off_s * 1e9))
        robot.teleop_out.publish(command)
        return any(
            s.level == DiagnosticStatus.WARN and all(part in s.message for part in why)
            for d in robot.diagnostics
            for s in d.status
        )

    robot.bench.wait(f'a report of {why[0]}', told)
    counted = {v.key: v.value for s in robot.diagnostics[-1].status for v in s.values}
    assert int(counted[f'rejected/{why[0]}']) > 0
    assert HUMAN not in {e.source for e in robot.executed}


def test_estop_mode_second_writer_and_clean_exit(robot: Robot) -> None:
    """The e-stop service stops a human too, and so does a mode; a second writer of joint_command
    is named.
    """
    robot.human_offset = 0.05
    robot.wait_source(HUMAN)
    assert robot.bench.call(Trigger, 'estop', Trigger.Request()).success
    robot.wait_source(ESTOP, 'estop_service')
    assert robot.bench.call(Trigger, 'resume', Trigger.Request()).success
    robot.wait_source(HUMAN)
    assert not robot.bench.call(Trigger, 'resume', Trigger.Request()).success
    assert robot.bench.call(SetMode, 'set_mode', SetMode.Request(mode=SetMode.Request.HOLD)).ok
    robot.wait_source(HOLD, 'mode_hold')
    assert '7 is none of' in robot.bench.call(SetMode, 'set_mode', SetMode.Request(mode=7)).message
    assert robot.bench.call(SetMode, 'set_mode', SetMode.Request(mode=SetMode.Request.POLICY)).ok
    robot.wait_source(HUMAN)

    intruder = robot.bench.node.create_publisher(
        JointTrajectory, 'joint_command', qos.JOINT_COMMAND
    )
    robot.bench.wait(
        'a report of the second writer',
        lambda: any(
            '2 publishers on /g1_01/joint_command: /g1_01/arbiter_node, /g1_01/bench' in s.message
            for d in robot.diagnostics
            for s in d.status
        ),
    )
    robot.bench.node.destroy_publisher(intruder)
    assert robot.bench.stop(robot.process, signal.SIGINT) == 0
