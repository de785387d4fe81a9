"""Launch arguments: defaults, choices, required ones, and how they are shown."""

from __future__ import annotations

import pytest
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction
from launch.conditions import IfCondition


def test_show_args_text_is_that_of_ros2_launch(ros2, launch_file):
    inner = launch_file(
        "DeclareLaunchArgument('inner', description='Of the included file'),", 'i.py'
    )
    path = launch_file(f"""
        DeclareLaunchArgument('robot_id', default_value='g1_01', description='Name of the robot'),
        DeclareLaunchArgument('rate', default_value=[LaunchConfiguration('robot_id'), '_30']),
        DeclareLaunchArgument('mode', default_value='a', choices=['a', 'b'], description='Mode'),
        DeclareLaunchArgument('needed'),
        DeclareLaunchArgument('rare', default_value='', condition=IfCondition('true')),
        IncludeLaunchDescription(PythonLaunchDescriptionSource({str(inner)!r})),
    """)
    result = ros2('launch', path, '--show-args')
    assert result.returncode == 0
    assert (
        result.stdout
        == """Arguments (pass arguments as '<name>:=<value>'):

    'robot_id':
        Name of the robot
        (default: 'g1_01')

    'rate':
        no description given
        (default: LaunchConfig('robot_id') + '_30')

    'mode':
        Mode. Valid choices are: ['a', 'b']
        (default: 'a')

    'needed':
        no description given

    'rare':*
        no description given
        (default: '')

    'inner':
        Of the included file

* argument(s) which are only used if specific conditions occur
"""
    )


def test_show_args_of_a_file_without_arguments_leaves_no_log_folder(
    ros2, launch_file, own_log_directory
):
    result = ros2('launch', launch_file(''), '-s')
    assert result.stdout.endswith('\n  No arguments.\n')
    assert not own_log_directory.exists()


def test_given_arguments_win_over_defaults_and_the_last_duplicate_wins(ros2, launch_file):
    path = launch_file("""
        DeclareLaunchArgument('a', default_value='1'),
        DeclareLaunchArgument('b', default_value=['<', LaunchConfiguration('a'), '>']),
        LogInfo(msg=['b is ', LaunchConfiguration('b'), ' url ', LaunchConfiguration('url')]),
    """)
    result = ros2('launch', path, 'a:=2', 'url:=x:=y', 'a:=3')
    assert '[INFO] [launch.user]: b is <3> url x:=y\n' in result.stdout
    assert result.returncode == 0


@pytest.mark.parametrize('bad', ['a', 'a=1', ':=1', 'a:='])
def test_malformed_argument_is_named(ros2, launch_file, bad):
    result = ros2('launch', launch_file(''), bad)
    assert result.returncode == 1
    assert f"malformed launch argument '{bad}', expected format '<name>:=<value>'" in result.stderr


def test_missing_required_argument_ends_the_launch_with_1(ros2, launch_file):
    result = ros2('launch', launch_file("DeclareLaunchArgument('needed', description='D'),"))
    assert result.returncode == 1
    assert "missing required argument 'needed' (description: 'D')" in result.stdout


def test_value_outside_the_choices_ends_the_launch_with_1(ros2, launch_file):
    path = launch_file("DeclareLaunchArgument('m', default_value='a', choices=['a', 'b']),")
    result = ros2('launch', path, 'm:=c')
    assert result.returncode == 1
    assert 'Argument "m" provided value "c" is not valid. Valid options are: [\'a\', \'b\']' in (
        result.stdout
    )


def test_default_outside_the_choices_and_empty_choices_are_refused_at_once():
    with pytest.raises(RuntimeError, match='"c" is not in'):
        DeclareLaunchArgument('m', default_value='c', choices=['a'])
    with pytest.raises(RuntimeError, match="'m': choices is empty"):
        DeclareLaunchArgument('m', choices=[])


def test_first_declaration_of_a_name_counts_and_groups_below_a_reset_are_not_listed():
    description = LaunchDescription(
        [
            DeclareLaunchArgument('x', default_value='first'),
            DeclareLaunchArgument('x', default_value='second'),
            GroupAction([DeclareLaunchArgument('y')], condition=IfCondition('true')),
            GroupAction([DeclareLaunchArgument('z')], forwarding=False),
        ]
    )
    arguments = {a.name: a for a in description.get_launch_arguments()}
    assert list(arguments) == ['x', 'y']
    assert arguments['x'].default_value[0].perform(LaunchContext()) == 'first'
    assert arguments['y'].conditionally_included and not arguments['x'].conditionally_included
