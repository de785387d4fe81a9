"""hardware:=g1: the nodes work under the driver's topic names, on the wall clock, and bags keep ours."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.wire import seconds
from lwd_policy_node.profile import load_profile
from lwd_recorder.bag import bag_topics
from lwd_recorder.manifest import MANIFEST_NAME, EpisodeManifest
from rcl_interfaces.srv import GetParameters
from trajectory_msgs.msg import JointTrajectory

from lwd_msgs.msg import ControlMode, Episode, ExecutedAction, TeleopCommand
from lwd_msgs.srv import EndEpisode, StartEpisode

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / 'standins'))
from driver import START, TOPICS
from launched import Launched

pytestmark = pytest.mark.launch
PROFILE = load_profile('g1_laptop')
NAMES = list(PROFILE.joint_names)
DT = PROFILE.control_period_s
SPEED = 0.1
BOX = [0.1, -0.2, -0.7, 0.9, 0.8, 0.5]  # m: the left gripper, at home and at the goal, is inside


@pytest.fixture
def robot(tmp_path: Path) -> Iterator[Launched]:
    driver = tmp_path / 'driver.yaml'
    driver.write_text(yaml.safe_dump({'topics': TOPICS}))
    parameters = tmp_path / 'parameters.yaml'
    parameters.write_text(
        yaml.safe_dump({'/**': {'arbiter_node': {'ros__parameters': {'workspace_left': BOX}}}})
    )
    arguments = {
        'robot_id': 'g1_05',
        'hardware': 'g1',
        'driver': str(driver),
        'profile': 'g1_laptop',
        'teleop': 'none',
        'speed': str(SPEED),
        'learner': '127.0.0.1',
        'params_file': str(parameters),
    }
    launched = Launched(tmp_path, 172, 'g1_05', 'robot.launch.py', **arguments)
    launched.start('driver', 'g1_05')
    yield launched
    launched.close()


def parameter(robot: Launched, node: str, name: str) -> object:
    request = GetParameters.Request(names=[name])
    value = robot.call(GetParameters, f'{node}/get_parameters', request).values[0]
    kinds = {1: value.bool_value, 3: value.double_value, 8: list(value.double_array_value)}
    return kinds[value.type]


def process_of(program: str, home: Path) -> tuple[int, dict[str, str]]:
    """Number and environment of the process that runs `program` for this test."""
    for process in Path('/proc').glob('[0-9]*'):
        try:
            command, environment = (
                (process / name).read_bytes() for name in ('cmdline', 'environ')
            )
        except OSError:
            continue
        values = dict(item.partition('=')[::2] for item in environment.decode().split('\0'))
        if f'/{program}\0'.encode() in command and values.get('LWD_HOME') == str(home):
            return int(process.name), values
    raise AssertionError(f'no {program}')


def kill(program: str, home: Path) -> None:
    os.kill(process_of(program, home)[0], signal.SIGKILL)


def test_driver_is_commanded_heard_and_recorded_under_its_own_names(
    robot: Launched, tmp_path: Path
) -> None:
    """Hold, a slow take-over, a bag that names our topics."""
    commands = robot.collect(JointTrajectory, TOPICS['joint_command'], qos.JOINT_COMMAND)
    modes = robot.collect(ControlMode, 'control_mode', qos.CONTROL_MODE)
    executed = robot.collect(ExecutedAction, 'executed_action', qos.EXECUTED_ACTION)
    statuses = robot.collect(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    teleop = robot.node.create_publisher(TeleopCommand, 'teleop/command', qos.teleop_writer(0.5))

    # It holds where it is: nothing jumps, nothing starts by itself.
    robot.wait('commands', lambda: len(commands) > 30)
    for command in commands:
        assert command.joint_names == NAMES
        np.testing.assert_allclose(command.points[0].positions, START, atol=1e-6)
    assert modes[-1].mode == ControlMode.HOLD
    for node in ('arbiter_node', 'policy_node', 'recorder_node', 'episode_node'):
        assert parameter(robot, node, 'use_sim_time') is False
    assert parameter(robot, 'episode_node', 'auto') is False
    assert parameter(robot, 'arbiter_node', 'velocity_scale') == SPEED
    assert parameter(robot, 'arbiter_node', 'workspace_left') == BOX
    names = robot.node.get_node_names()
    assert 'sim_node' not in names and 'teleop_node' not in names
    for ours in TOPICS:
        assert not robot.node.get_publishers_info_by_topic(f'/g1_05/{ours}')

    assert process_of('policy_node', tmp_path)[1]['ROS_STATIC_PEERS'] == '127.0.0.1'

    # The cameras arrive at the policy.
    def observation() -> str:
        found = [
            status.message
            for array in statuses
            for status in array.status
            if status.name == 'g1_05/policy_node: observation'
        ]
        return found[-1] if found else ''

    robot.wait('all streams at policy_node', lambda: observation() == 'ok')

    # A human takes over: the robot goes there, no faster than the share of its speed.
    start = StartEpisode.Request(task='restock', instruction='check', kind='demonstration')
    answer = robot.call(StartEpisode, 'episode/start', start)
    assert answer.ok, answer.message
    goal = START + 0.1 * (np.arange(16) < 14)

    def held() -> bool:
        message = TeleopCommand(deadman=True, joint_names=NAMES, position=goal, reason='operator')
        message.header.stamp = robot.node.get_clock().now().to_msg()
        teleop.publish(message)
        return bool(executed) and np.abs(np.array(executed[-1].position) - goal).max() < 1e-3

    robot.wait('the robot at the goal', held)
    steps = np.abs(np.diff([command.points[0].positions for command in commands], axis=0))
    assert (steps <= SPEED * PROFILE.limits('velocity') * DT + 1e-9).all()
    assert {action.source for action in executed} >= {ExecutedAction.SOURCE_HUMAN}
    assert abs(seconds(executed[-1].header.stamp) - seconds(commands[-1].header.stamp)) < 1.0
    end = EndEpisode.Request(outcome=Episode.OUTCOME_SUCCESS, ended_by='operator')
    assert robot.call(EndEpisode, 'episode/end', end).ok

    # The bag is in the store, under our names.
    def delivered() -> list[Path]:
        return list((tmp_path / 'store').rglob(MANIFEST_NAME))

    bag = robot.wait('the bag in the store', delivered)[0].parent
    counts = {topic.name: topic.message_count for topic in bag_topics(bag)}
    for ours in (set(TOPICS) - {'joint_command'}) | {'executed_action'}:
        assert counts[f'/g1_05/{ours}'] > 0, ours
    assert not any('hal' in name or 'vendor' in name for name in counts)
    manifest = EpisodeManifest.from_json((bag / MANIFEST_NAME).read_text())
    assert (manifest.outcome, manifest.takeovers) == ('success', 1)

    # A driver that falls silent, or whose arbiter is gone, is left alone.
    robot.others[0].send_signal(signal.SIGSTOP)
    robot.wait('the hold', lambda: modes[-1].reason == 'stale_state')
    robot.others[0].send_signal(signal.SIGCONT)
    robot.wait('the driver again', lambda: modes[-1].reason == 'no_episode')
    for program in ('arbiter_node', 'episode_node'):
        kill(program, tmp_path)
    robot.wait(
        'another episode_node', lambda: len(re.findall(r'episode_node.*started', robot.said())) > 1
    )
    assert len(re.findall(r'arbiter_node.*started', robot.said())) == 1
