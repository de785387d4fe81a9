"""What groups and includes let out: configurations, environment, the current file."""

from __future__ import annotations

import os

from launch import LaunchDescription, LaunchService
from launch.actions import (
    AppendEnvironmentVariable,
    GroupAction,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
    SetLaunchConfiguration,
    UnsetEnvironmentVariable,
    UnsetLaunchConfiguration,
)
from launch.substitutions import LaunchConfiguration


class Recorder:
    """Notes configurations and environment at a place in the description."""

    def __init__(self):
        self.seen = {}

    def at(self, place):
        def note(context):
            configurations = {
                k: v for k, v in context.launch_configurations.items() if len(k) == 1
            }
            self.seen[place] = configurations, context.environment.get('ROS2_WHEELS_TEST')

        return OpaqueFunction(function=note)


def launch(*actions):
    service = LaunchService(noninteractive=True)
    service.include_launch_description(LaunchDescription(list(actions)))
    return service.run()


def test_scoped_group_keeps_configurations_and_environment_to_itself():
    recorder = Recorder()
    code = launch(
        SetLaunchConfiguration('a', '1'),
        SetEnvironmentVariable('ROS2_WHEELS_TEST', 'out'),
        GroupAction(
            [
                SetLaunchConfiguration('b', '2'),
                SetEnvironmentVariable('ROS2_WHEELS_TEST', 'in'),
                recorder.at('group'),
            ],
            launch_configurations={'c': LaunchConfiguration('a')},
        ),
        recorder.at('after'),
    )
    assert code == 0
    assert recorder.seen['group'] == ({'a': '1', 'b': '2', 'c': '1'}, 'in')
    assert recorder.seen['after'] == ({'a': '1'}, 'out')
    del os.environ['ROS2_WHEELS_TEST']


def test_group_without_scope_lets_everything_out():
    recorder = Recorder()
    launch(
        GroupAction([SetLaunchConfiguration('b', '2')], scoped=False),
        recorder.at('after'),
    )
    assert recorder.seen['after'] == ({'b': '2'}, None)


def test_group_without_forwarding_begins_with_its_own_configurations_only():
    recorder = Recorder()
    launch(
        SetLaunchConfiguration('a', '1'),
        SetEnvironmentVariable('ROS2_WHEELS_TEST', 'out'),
        GroupAction(
            [recorder.at('group')],
            forwarding=False,
            launch_configurations={'c': LaunchConfiguration('a')},
        ),
        recorder.at('after'),
        UnsetEnvironmentVariable('ROS2_WHEELS_TEST'),
        UnsetLaunchConfiguration('a'),
        recorder.at('end'),
    )
    assert recorder.seen['group'] == ({'c': '1'}, None)
    assert recorder.seen['after'] == ({'a': '1'}, 'out')
    assert recorder.seen['end'] == ({}, None)


def test_append_environment_variable():
    recorder = Recorder()
    launch(
        GroupAction(
            [
                AppendEnvironmentVariable('ROS2_WHEELS_TEST', 'b'),
                AppendEnvironmentVariable('ROS2_WHEELS_TEST', 'a', prepend=True, separator=';'),
                recorder.at('group'),
            ]
        )
    )
    assert recorder.seen['group'][1] == 'a;b'


def test_include_has_no_scope_of_its_own_but_takes_that_of_a_group(ros2, launch_file, tmp_path):
    (tmp_path / 'sub').mkdir()
    inner = launch_file(
        """
        DeclareLaunchArgument('x', default_value='default'),
        LogInfo(msg=['inner ', LaunchConfiguration('x'), ' in ', ThisLaunchFileDir()]),
        """,
        'inner.launch.py',
        tmp_path / 'sub',
    )
    include = f'PythonLaunchDescriptionSource({str(inner)!r})'
    path = launch_file(f"""
        GroupAction([IncludeLaunchDescription({include}, launch_arguments=[('x', 'grouped')])]),
        LogInfo(msg=['after group ', LaunchConfiguration('x', default='unset')]),
        IncludeLaunchDescription({include}, launch_arguments={{'x': 'given'}}.items()),
        LogInfo(msg=['after include ', LaunchConfiguration('x'), ' in ', ThisLaunchFileDir()]),
        IncludeLaunchDescription({include}),
    """)
    said = [
        line.removeprefix('[INFO] [launch.user]: ')
        for line in ros2('launch', path).stdout.splitlines()
        if 'launch.user' in line
    ]
    assert said == [
        f'inner grouped in {tmp_path}/sub',
        'after group unset',
        f'inner given in {tmp_path}/sub',
        f'after include given in {tmp_path}',
        f'inner given in {tmp_path}/sub',  # as in ROS 2: the value is set already
    ]


def test_included_file_without_its_required_argument_is_an_error(ros2, launch_file):
    inner = launch_file("DeclareLaunchArgument('needed'),", 'inner.launch.py')
    path = launch_file(
        f"IncludeLaunchDescription({str(inner)!r}, launch_arguments=[('other', '1')]),"
    )
    result = ros2('launch', path)
    assert result.returncode == 1
    assert "missing required argument 'needed'" in result.stdout


def test_condition_keeps_an_action_from_being_executed(capsys):
    from launch.conditions import IfCondition, UnlessCondition

    launch(
        LogInfo(msg='yes', condition=IfCondition('true')),
        LogInfo(msg='no', condition=UnlessCondition('1')),
    )
    assert '[launch.user]: yes' in (text := capsys.readouterr().out)
    assert '[launch.user]: no' not in text
