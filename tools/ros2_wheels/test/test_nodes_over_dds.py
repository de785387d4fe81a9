"""Nodes under launch: names, namespaces, parameters and remappings reach real rclpy nodes."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.launch


@pytest.fixture(autouse=True)
def domain(monkeypatch, prefix):
    monkeypatch.setenv('ROS_DOMAIN_ID', '102')


PROBE = "Node(package='probe_pkg', executable='probe', output='screen'"


def test_names_namespaces_and_remappings_of_groups_and_nodes(ros2, launch_file, probe_output):
    result = ros2(
        'launch',
        launch_file(f"""
            DeclareLaunchArgument('robot', default_value='g1'),
            GroupAction([
                PushRosNamespace('fleet'),
                PushRosNamespace(LaunchConfiguration('robot')),
                SetRemap('chatter', 'scoped'),
                {PROBE}, name='a'),
                {PROBE}, name='b', namespace='arm'),
                {PROBE}, name='c', namespace='/top', remappings=[('chatter', 'own')]),
            ]),
            {PROBE}, remappings=[('chatter', ['/x/', LaunchConfiguration('robot')])]),
        """),
        'robot:=g2',
    )
    assert result.returncode == 0, result.stdout
    found = {probe['name']: probe['chatter'] for probe in probe_output(result.stdout)}
    assert found == {
        '/fleet/g2/a': '/fleet/g2/scoped',
        '/fleet/g2/arm/b': '/fleet/g2/arm/scoped',
        '/top/c': '/top/scoped',  # the scope's rule goes first, and the first match counts
        '/probe': '/x/g2',
    }


def test_later_parameters_win_and_full_names_win_over_wildcards(
    ros2, launch_file, probe_output, tmp_path
):
    first = tmp_path / 'first.yaml'
    first.write_text("""
/**:
  ros__parameters: {a: wild, b: wild, c: wild, list: [1, 2], nested: {x: 1.5}}
/ns/n:
  ros__parameters: {b: full}
/ns/*:
  ros__parameters: {e: namespaced}
/other/n:
  ros__parameters: {a: wrong, b: wrong}
""")
    second = tmp_path / 'second.yaml'
    second.write_text('/**:\n  ros__parameters: {b: second, c: second, from_arg: $(var arg)}\n')
    path = launch_file(f"""
        SetParameter('a', 'scope'),
        SetParameter('d', LaunchConfiguration('arg')),
        SetLaunchConfiguration('file', {str(second)!r}),
        {PROBE}, name='n', namespace='ns', parameters=[
            {str(first)!r},
            ParameterFile(LaunchConfiguration('file'), allow_substs=True),
            {{'own': LaunchConfiguration('arg'), 'text': '7', 'nested': {{'y': True}},
              'typed': ParameterValue(LaunchConfiguration('arg'), value_type=str)}},
        ], ros_arguments=['-p', 'ros_arg:=1'], arguments=['plain']),
    """)
    result = ros2('launch', path, 'arg:=7')
    assert result.returncode == 0, result.stdout
    (probe,) = probe_output(result.stdout)
    parameters = probe['parameters']
    expected = {
        'a': 'wild',  # a node's own file wins over SetParameter
        'b': 'full',
        'c': 'second',
        'd': 7,
        'e': 'namespaced',
        'list': [1, 2],
        'nested.x': 1.5,
        'nested.y': True,
        'from_arg': 7,
        'own': 7,
        'text': '7',
        'typed': '7',
        'ros_arg': 1,
    }
    assert {name: parameters.get(name) for name in expected} == expected


def test_missing_parameter_file_is_told(ros2, launch_file):
    result = ros2('launch', launch_file(f"{PROBE}, parameters=['/no/such.yaml']),"))
    assert 'Parameter file path is not a file: /no/such.yaml' in result.stdout


@pytest.mark.parametrize(
    ('arguments', 'complaint'),
    [("name='1a'", "Invalid node name '1a'"), ("namespace='a-b'", "Invalid namespace '/a-b'")],
)
def test_invalid_names_end_the_launch_with_1(ros2, launch_file, arguments, complaint):
    result = ros2('launch', launch_file(f'{PROBE}, {arguments}),'))
    assert result.returncode == 1
    assert complaint in result.stdout


def test_two_nodes_of_one_name_are_told(ros2, launch_file):
    node = f"{PROBE}, name='n', namespace='/'),"
    result = ros2('launch', launch_file(node * 2))
    assert 'there are now at least 2 nodes with the name /n' in result.stdout


def test_remapped_topic_carries_the_parameter_and_the_node_ends_cleanly(
    start, ros2, launch_file, tmp_path, monkeypatch
):
    (tmp_path / 'temporary').mkdir()
    monkeypatch.setenv('TMPDIR', str(tmp_path / 'temporary'))
    launched = start(
        'launch',
        launch_file("""
            GroupAction([
                PushRosNamespace('ns'),
                Node(package='probe_pkg', executable='talker', output='screen', respawn=True,
                     remappings=[('chatter', 'renamed')], parameters=[{'text': 'from launch'}]),
            ]),
        """),
    )
    launched.wait_for(r'\[talker-1\] talking as /ns/talker')
    assert [path.name[:14] for path in (tmp_path / 'temporary').iterdir()] == ['launch_params_']
    result = ros2('topic', 'echo', '--once', '/ns/renamed')
    assert result.stdout == 'data: from launch\n---\n', result.stderr
    launched.interrupt()
    assert launched.finish() == 0
    assert 'process has finished cleanly' in launched.text
    assert not list((tmp_path / 'temporary').iterdir())
