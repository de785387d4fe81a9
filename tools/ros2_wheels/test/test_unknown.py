"""What the subset does not know is an error that names it, never ignored."""

from __future__ import annotations

import importlib

import pytest
from launch.actions import ExecuteProcess, LogInfo, TimerAction
from launch_ros.actions import Node


@pytest.mark.parametrize(
    ('module', 'name'),
    [
        ('launch', 'LaunchIntrospector'),
        ('launch.actions', 'OpaqueCoroutine'),
        ('launch.substitutions', 'FileContent'),
        ('launch.conditions', 'NoSuchCondition'),
        ('launch.event_handlers', 'OnExecutionComplete'),
        ('launch_ros.actions', 'ComposableNodeContainer'),
        ('launch_ros.descriptions', 'ComposableNode'),
        ('launch_ros.substitutions', 'Parameter'),
    ],
)
def test_unknown_name_is_named_with_what_there_is(module, name):
    with pytest.raises(ImportError, match=f"'{module}' of ros2_wheels does not provide '{name}'"):
        exec(f'from {module} import {name}')
    with pytest.raises(ImportError, match=name):
        getattr(importlib.import_module(module), name)


def test_unknown_module_is_named():
    with pytest.raises(ModuleNotFoundError, match=r'launch\.frontend'):
        importlib.import_module('launch.frontend')


@pytest.mark.parametrize(
    ('action', 'arguments'),
    [
        (LogInfo, {'msg': 'x', 'levle': 1}),
        (ExecuteProcess, {'cmd': ['x'], 'respwan': True}),
        (Node, {'executable': 'x', 'parametres': []}),
        (Node, {'executable': 'x', 'node_executable': 'x'}),
    ],
)
def test_unknown_keyword_is_named(action, arguments):
    with pytest.raises(TypeError, match=list(arguments)[-1]):
        action(**arguments)


@pytest.mark.parametrize(
    ('action', 'arguments', 'complaint'),
    [
        (TimerAction, {'period': 1, 'actions': []}, "'period' must be a float"),
        (Node, {'executable': 'x', 'parameters': ({},)}, 'parameters must be a list'),
        (Node, {'executable': 'x', 'parameters': [1]}, 'a parameter must be'),
        (LogInfo, {'msg': ['a', ['b']]}, 'is of type list'),
        (ExecuteProcess, {'cmd': ['x'], 'sigterm_timeout': 5}, 'is of type int'),
    ],
)
def test_what_ros_2_refuses_is_refused_here_too(action, arguments, complaint):
    with pytest.raises(TypeError, match=complaint):
        action(**arguments)


def test_unknown_name_in_a_launch_file_ends_the_launch_with_1(ros2, tmp_path):
    path = tmp_path / 'x.launch.py'
    path.write_text('from launch_ros.actions import LoadComposableNodes\n')
    result = ros2('launch', path)
    assert result.returncode == 1
    assert "does not provide 'LoadComposableNodes'" in result.stdout


def test_file_without_the_function_and_xml_files_are_errors(ros2, tmp_path):
    path = tmp_path / 'x.launch.py'
    path.write_text('')
    assert "required function 'generate_launch_description()'" in ros2('launch', path).stdout
    path = tmp_path / 'x.launch.xml'
    path.write_text('<launch/>')
    result = ros2('launch', path)
    assert result.returncode == 1 and 'Python launch files only' in result.stdout


@pytest.mark.parametrize(
    ('command', 'named'),
    [
        (['bag', 'info'], "ros2: error: 'bag' is not provided"),
        (['topic', 'bw', '/x'], "ros2 topic: error: 'bw' is not provided"),
        (['topic', 'list', '--no-such-option'], '--no-such-option'),
    ],
)
def test_unknown_verbs_and_options_are_named_with_exit_code_2(ros2, command, named):
    result = ros2(*command)
    assert result.returncode == 2
    assert named in result.stderr
