"""Every substitution gives the text that ROS 2's gives, and conditions read it so."""

from __future__ import annotations

import pytest
from launch import LaunchContext
from launch.conditions import (
    IfCondition,
    InvalidConditionExpressionError,
    LaunchConfigurationEquals,
    LaunchConfigurationNotEquals,
    UnlessCondition,
)
from launch.substitutions import (
    AllSubstitution,
    AndSubstitution,
    AnonName,
    AnySubstitution,
    Command,
    EnvironmentVariable,
    EqualsSubstitution,
    FindExecutable,
    IfElseSubstitution,
    LaunchConfiguration,
    NotEqualsSubstitution,
    NotSubstitution,
    OrSubstitution,
    PathJoinSubstitution,
    PythonExpression,
    SubstitutionFailure,
    TextSubstitution,
    ThisLaunchFileDir,
)
from launch_ros.substitutions import ExecutableInPackage, FindPackagePrefix, FindPackageShare


@pytest.fixture
def context():
    context = LaunchContext()
    context.launch_configurations.update(robot='g1', on='true', n='3')
    return context


@pytest.mark.parametrize(
    ('substitution', 'text'),
    [
        (LaunchConfiguration('robot'), 'g1'),
        (LaunchConfiguration(['ro', 'bot']), 'g1'),
        (LaunchConfiguration('none', default=5), '5'),
        (LaunchConfiguration('none', default=['a', TextSubstitution(text='b')]), 'ab'),
        (PathJoinSubstitution(['/a', LaunchConfiguration('robot'), 'c.yaml']), '/a/g1/c.yaml'),
        (PythonExpression(['2 * ', LaunchConfiguration('n'), ' + floor(pi)']), '9'),
        (PythonExpression(["'", LaunchConfiguration('robot'), "' == 'g1'"]), 'True'),
        (PythonExpression('sys.maxsize > 0', ['sys']), 'True'),
        (EnvironmentVariable('ROS2_WHEELS_NONE', default_value='d'), 'd'),
        (Command(['echo ', LaunchConfiguration('robot'), " 'a b'"]), 'g1 a b\n'),
        (Command("sh -c 'echo e >&2; echo o'", on_stderr='ignore'), 'o\n'),
        (EqualsSubstitution('a', 'a'), 'true'),
        (EqualsSubstitution('1', 'TRUE'), 'true'),
        (EqualsSubstitution('0.3', '0.30000000000000004'), 'true'),
        (EqualsSubstitution(LaunchConfiguration('n'), 3), 'true'),
        (NotEqualsSubstitution(LaunchConfiguration('robot'), 'g1'), 'false'),
        (NotSubstitution('false'), 'true'),
        (AndSubstitution(LaunchConfiguration('on'), '0'), 'false'),
        (OrSubstitution(LaunchConfiguration('on'), 'no'), 'true'),
        (AllSubstitution('true', 'yes', '1'), 'true'),
        (AnySubstitution('off', 'false'), 'false'),
        (IfElseSubstitution(LaunchConfiguration('on'), 'x', 'y'), 'x'),
        (IfElseSubstitution('false', if_value='x'), ''),
    ],
)
def test_text(context, substitution, text):
    assert substitution.perform(context) == text


@pytest.mark.parametrize(
    ('substitution', 'complaint'),
    [
        (LaunchConfiguration('none'), "launch configuration 'none' does not exist"),
        (EnvironmentVariable('ROS2_WHEELS_NONE'), "variable 'ROS2_WHEELS_NONE' does not exist"),
        (FindExecutable(name='no_such_thing'), "'no_such_thing' not found on the PATH"),
        (Command('no_such_thing'), 'no_such_thing'),
        (Command('false'), 'exit code 1. Command: false'),
        (Command("sh -c 'echo oh >&2'"), 'oh'),
        (Command('true', on_stderr='panic'), "got 'panic'"),
        (NotSubstitution('maybe'), 'maybe'),
        (ThisLaunchFileDir(), 'outside of a launch file'),
    ],
)
def test_failure_is_named(context, substitution, complaint):
    with pytest.raises(SubstitutionFailure, match=complaint):
        substitution.perform(context)


def test_anonymous_name_is_one_within_a_launch(context):
    name = AnonName('node').perform(context)
    assert name.startswith('node_') and '.' not in name
    assert AnonName('node').perform(context) == name
    assert AnonName('node').perform(LaunchContext()) != name


def test_packages_are_found_through_ament_prefix_path(context, prefix):
    assert FindPackagePrefix('probe_pkg').perform(context) == str(prefix)
    assert FindPackageShare('probe_pkg').perform(context) == f'{prefix}/share/probe_pkg'
    found = ExecutableInPackage(package='probe_pkg', executable='talker').perform(context)
    assert found == f'{prefix}/lib/probe_pkg/talker'
    with pytest.raises(LookupError, match='no_such_pkg'):
        FindPackageShare('no_such_pkg').perform(context)
    with pytest.raises(SubstitutionFailure, match="executable 'nope' not found on the libexec"):
        ExecutableInPackage(package='probe_pkg', executable='nope').perform(context)


@pytest.mark.parametrize(
    ('text', 'holds'),
    [('true', True), (' True ', True), ('1', True), ('FALSE', False), ('0', False)],
)
def test_conditions_take_true_false_1_and_0(context, text, holds):
    assert IfCondition(text).evaluate(context) is holds
    assert UnlessCondition(text).evaluate(context) is not holds


@pytest.mark.parametrize('text', ['', 'yes', '2'])
def test_other_text_is_no_condition(context, text):
    with pytest.raises(InvalidConditionExpressionError, match="expected one of 'true'"):
        IfCondition(text).evaluate(context)


def test_launch_configuration_equals(context):
    with pytest.warns(UserWarning, match='deprecated'):
        assert LaunchConfigurationEquals('robot', 'g1').evaluate(context)
        assert LaunchConfigurationEquals('none', None).evaluate(context)
        assert LaunchConfigurationNotEquals('robot', 'g2').evaluate(context)
