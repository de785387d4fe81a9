"""`ros2 topic|node|service|param|lifecycle` against a real node over DDS."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import ros2_wheels
import yaml

pytestmark = pytest.mark.launch
_DOMAIN = '103'


@pytest.fixture(autouse=True)
def domain(monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', _DOMAIN)


@pytest.fixture(scope='module')
def talker():
    """One talker for all tests of this file."""
    profile = Path(ros2_wheels.__file__).with_name('fastdds_localhost.xml')
    environment = os.environ | {
        'ROS_DOMAIN_ID': _DOMAIN,
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'FASTRTPS_DEFAULT_PROFILES_FILE': str(profile),
    }
    script = Path(__file__).parent / 'probe_package/talker'
    command = [sys.executable, script, '--ros-args', '-p', 'text:=hello', '-r', '__ns:=/ns']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert 'talking' in process.stdout.readline()
        yield process
        process.terminate()
        assert process.wait(timeout=20) == 0


def lines(result):
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_topic_list(ros2, talker):
    assert lines(ros2('topic', 'list')) == ['/ns/chatter', '/parameter_events', '/rosout']
    assert '/ns/chatter [std_msgs/msg/String]' in lines(ros2('topic', 'list', '-t'))


def test_topic_info_and_type(ros2, talker):
    assert lines(ros2('topic', 'type', '/ns/chatter')) == ['std_msgs/msg/String']
    assert lines(ros2('topic', 'info', '/ns/chatter')) == [
        'Type: std_msgs/msg/String',
        'Publisher count: 1',
        'Subscription count: 0',
    ]
    text = ros2('topic', 'info', '-v', '/ns/chatter').stdout
    assert 'Node name: talker' in text and 'Reliability: RELIABLE' in text
    result = ros2('topic', 'info', '--spin-time', '0.5', '/none')
    assert (result.returncode, result.stderr) == (1, "Unknown topic '/none'\n")


def test_topic_echo(ros2, talker):
    assert ros2('topic', 'echo', '--once', '/ns/chatter').stdout == 'data: hello\n---\n'
    field = ros2(
        'topic', 'echo', '--once', '--field', 'data', '/ns/chatter', 'std_msgs/msg/String'
    )
    assert field.stdout == 'hello\n---\n'
    wrong = ros2('topic', 'echo', '--once', '--field', 'x', '/ns/chatter')
    assert wrong.returncode == 1
    assert "Invalid field 'x'" in wrong.stderr
    assert ros2('topic', 'echo', '--once', '--csv', '/ns/chatter').stdout == 'hello\n'


def test_topic_echo_of_a_topic_that_is_not_there(ros2, talker):
    result = ros2('topic', 'echo', '--spin-time', '1', '/none')
    assert result.returncode == 1
    assert 'WARNING: topic [/none] does not appear to be published yet' in result.stdout
    assert 'Could not determine the type for the passed topic' in result.stderr


def test_topic_hz(start, talker):
    running = start('topic', 'hz', '/ns/chatter')
    rate = float(running.wait_for(r'average rate: (\d+\.\d{3})\n')[1])
    running.wait_for(r'\tmin: \d\.\d{3}s max: \d\.\d{3}s std dev: \d\.\d{5}s window: \d+\n')
    assert 10 < rate < 25  # published at 20 Hz
    running.interrupt()
    running.finish()
    assert 'Traceback' not in running.text


def test_topic_pub_reaches_echo_with_any_durability(start, talker):
    publishing = start(
        'topic', 'pub', '-r', '20', '--qos-durability', 'transient_local', '/pub',
        'geometry_msgs/msg/PoseStamped',
        '{header: auto, pose: {position: {x: 1, y: 2.5}}}',
    )  # fmt: skip
    publishing.wait_for('publishing #1: geometry_msgs.msg.PoseStamped')
    echo = start('topic', 'echo', '--once', '/pub')
    assert echo.finish() == 0
    message = yaml.safe_load(echo.text.split('---')[0])
    assert message['pose']['position'] == {'x': 1.0, 'y': 2.5, 'z': 0.0}
    assert message['header']['stamp']['sec'] > 0


def test_topic_pub_waits_for_a_subscription(start, talker):
    echo = start('topic', 'echo', '--once', '/waited', 'std_msgs/msg/String')
    publishing = start('topic', 'pub', '--once', '/waited', 'std_msgs/msg/String', 'data: x')
    assert publishing.finish() == 0
    assert 'Waiting for at least 1 matching subscription(s)...' in publishing.text
    assert echo.finish() == 0
    assert echo.text == 'data: x\n---\n'


@pytest.mark.parametrize(
    ('values', 'complaint'),
    [
        ('{nope: 1}', "'String' has no field 'nope'; it has data"),
        ('[1]', 'needs to be a dictionary'),
    ],
)
def test_topic_pub_names_wrong_values(ros2, values, complaint):
    result = ros2('topic', 'pub', '--once', '/x', 'std_msgs/msg/String', values)
    assert result.returncode == 1
    assert complaint in result.stderr


def test_node_list_and_info(ros2, talker):
    assert lines(ros2('node', 'list')) == ['/ns/talker']
    text = '\n'.join(lines(ros2('node', 'info', '/ns/talker')))
    sections = re.findall(r'^  (\w+ ?\w*):$', text, re.M)
    assert sections == [
        'Subscribers', 'Publishers', 'Service Servers', 'Service Clients', 'Action Servers',
        'Action Clients',
    ]  # fmt: skip
    assert '    /ns/chatter: std_msgs/msg/String' in text
    assert '    /ns/flip: std_srvs/srv/SetBool' in text
    result = ros2('node', 'info', '--spin-time', '0.5', '/none')
    assert (result.returncode, result.stderr) == (1, "Unable to find node '/none'\n")


def test_service_list_type_and_call(ros2, talker):
    assert '/ns/flip [std_srvs/srv/SetBool]' in lines(ros2('service', 'list', '-t'))
    assert lines(ros2('service', 'type', '/ns/flip')) == ['std_srvs/srv/SetBool']
    result = ros2('service', 'call', '/ns/flip', 'std_srvs/srv/SetBool', '{data: true}')
    assert 'requester: making request: std_srvs.srv.SetBool_Request(data=True)' in result.stdout
    assert (
        "response:\nstd_srvs.srv.SetBool_Response(success=False, message='was True')"
        in result.stdout
    )
    result = ros2('service', 'call', '/ns/flip', 'std_srvs/srv/Nope')
    assert result.returncode == 1 and 'std_srvs/srv/Nope' in result.stderr


def test_param_list_get_set_and_dump(ros2, talker):
    assert '  gain (type: double)' in lines(ros2('param', 'list', '/ns/talker', '--param-type'))
    assert lines(ros2('param', 'get', '/ns/talker', 'gain')) == ['Double value is: 1.0']
    assert lines(ros2('param', 'set', '/ns/talker', 'gain', '2.5')) == ['Set parameter successful']
    assert lines(ros2('param', 'get', '--hide-type', '/ns/talker', 'gain')) == ['2.5']
    wrong = ros2('param', 'set', '/ns/talker', 'gain', 'fast')
    assert wrong.returncode == 1 and wrong.stderr.startswith('Setting parameter failed: ')
    dumped = yaml.safe_load(ros2('param', 'dump', 'ns/talker').stdout)
    assert dumped['/ns/talker']['ros__parameters']['text'] == 'hello'
    missing = ros2('param', 'get', '--timeout', '1', '/none', 'x')
    assert (missing.returncode, missing.stderr) == (1, 'Node not found\n')


def test_lifecycle_nodes_are_none_here(ros2, talker):
    assert ros2('lifecycle', 'nodes').stdout.strip() == ''
    result = ros2('lifecycle', 'get', '/ns/talker', '--spin-time', '1')
    assert (result.returncode, result.stderr) == (1, 'Node not found\n')
