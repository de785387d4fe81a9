"""`ros2 run|pkg|interface`: packages, their executables and interfaces."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest


@pytest.fixture
def script(prefix: Path):
    path = prefix / 'lib/probe_pkg/show'
    path.write_text('#!/bin/sh\necho "$P $$ $*"\nexit 7\n')
    path.chmod(0o755)
    return path


def test_run_hands_over_arguments_and_the_exit_code_is_the_executables_own(start, script):
    running = start('run', 'probe_pkg', 'show', '--flag', 'a b', '--ros-args', '-p', 'x:=1')
    assert running.finish() == 7
    assert running.text == f' {running.process.pid} --flag a b --ros-args -p x:=1\n'


def test_run_with_a_prefix(ros2, script):
    assert ros2('run', '--prefix', 'env P=1', 'probe_pkg', 'show').stdout.startswith('1 ')
    result = ros2('run', '--prefix', 'no_such_command', 'probe_pkg', 'show')
    assert result.returncode == 1 and 'no_such_command' in result.stderr


def test_run_gets_signals_itself(start, script):
    script.write_text('#!/bin/sh\ntrap "exit 3" INT\necho up\nwhile :; do sleep 0.05; done\n')
    running = start('run', 'probe_pkg', 'show')
    running.wait_for('up')
    running.interrupt(signal.SIGINT)
    assert running.finish() == 3


def test_run_names_what_is_missing(ros2, script):
    result = ros2('run', 'no_pkg', 'show')
    assert (result.returncode, result.stderr) == (1, "Package 'no_pkg' not found\n")
    result = ros2('run', 'probe_pkg', 'nope')
    assert (result.returncode, result.stderr) == (1, 'No executable found\n')


def test_pkg_verbs(ros2, prefix):
    assert 'probe_pkg' in ros2('pkg', 'list').stdout.splitlines()
    assert ros2('pkg', 'prefix', 'probe_pkg').stdout == f'{prefix}\n'
    assert ros2('pkg', 'prefix', '--share', 'probe_pkg').stdout == f'{prefix}/share/probe_pkg\n'
    assert ros2('pkg', 'executables', 'probe_pkg').stdout == 'probe_pkg probe\nprobe_pkg talker\n'
    result = ros2('pkg', 'prefix', 'no_pkg')
    assert (result.returncode, result.stderr) == (1, 'Package not found\n')


def test_interface_list(ros2):
    text = ros2('interface', 'list').stdout
    assert text.startswith('Messages:\n    action_msgs/msg/GoalInfo\n')
    assert '\nServices:\n' in text and '    std_srvs/srv/SetBool\n' in text
    assert 'Messages' not in ros2('interface', 'list', '-s').stdout


def test_interface_show_indents_nested_definitions(ros2):
    shown = ros2('interface', 'show', '--no-comments', 'geometry_msgs/msg/PointStamped').stdout
    assert shown == (
        'std_msgs/Header header\n'
        '\tbuiltin_interfaces/Time stamp\n'
        '\t\tint32 sec\n'
        '\t\tuint32 nanosec\n'
        '\tstring frame_id\n'
        'Point point\n'
        '\tfloat64 x\n'
        '\tfloat64 y\n'
        '\tfloat64 z\n'
    )
    shown = ros2('interface', 'show', '--no-comments', 'std_srvs/srv/SetBool').stdout
    assert shown == 'bool data\n---\nbool success\nstring message\n'
    result = ros2('interface', 'show', 'std_msgs/msg/Nope')
    assert result.returncode == 1 and 'std_msgs/msg/Nope' in result.stderr


def test_help_lists_commands_and_verbs(ros2):
    assert '  topic ' in ros2('--help').stdout
    assert '  echo ' in ros2('topic', '-h').stdout
    assert '--field' in ros2('topic', 'echo', '-h').stdout
