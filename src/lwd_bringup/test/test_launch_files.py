"""The launch files: every argument is explained, every node they name is installed, bad values are refused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.launch_description_sources import PythonLaunchDescriptionSource

FILES = ('robot', 'fleet_sim', 'learner', 'rviz')
STATED = {
    'robot': 'robot_id profile hardware teleop learner rviz record upload weights',
    'fleet_sim': 'robots',
    'learner': 'profile store',
    'rviz': 'robot_id hardware profile',
}
EXECUTABLES = (
    ('lwd_sim', 'sim_node'),
    ('lwd_policy_node', 'arbiter_node'),
    ('lwd_policy_node', 'policy_node'),
    ('lwd_policy_node', 'teleop_node'),
    ('lwd_policy_node', 'episode_node'),
    ('lwd_recorder', 'recorder_node'),
    ('lwd_recorder', 'uploader_node'),
    ('lwd_learner', 'train'),
    ('lwd_bringup', 'demo'),
)


def load(name: str) -> LaunchDescription:
    share = get_package_share_directory('lwd_bringup')
    source = PythonLaunchDescriptionSource(str(Path(share, 'launch', f'{name}.launch.py')))
    return source.get_launch_description(LaunchContext())


@pytest.mark.parametrize('name', FILES)
def test_every_argument_has_a_default_and_an_explanation(name: str) -> None:
    declared = [
        entity for entity in load(name).entities if isinstance(entity, DeclareLaunchArgument)
    ]
    assert {argument.name for argument in declared} >= set(STATED[name].split())
    for argument in declared:
        assert argument.default_value is not None, argument.name
        assert len(argument.description) > 15, argument.name


@pytest.mark.parametrize('name', FILES)
def test_show_args_explains_them(name: str) -> None:
    done = launch('lwd_bringup', f'{name}.launch.py', '--show-args')
    assert done.returncode == 0, done.stderr
    for argument in STATED[name].split():
        assert f"'{argument}':" in done.stdout
    assert 'no description given' not in done.stdout


@pytest.mark.parametrize(('package', 'executable'), EXECUTABLES)
def test_named_executables_are_installed(package: str, executable: str) -> None:
    path = Path(get_package_prefix(package), 'lib', package, executable)
    assert os.access(path, os.X_OK), path


def launch(*words: str) -> subprocess.CompletedProcess[str]:
    command = ['ros2', 'launch', *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['hardware:=toaster'], 'toaster'),
        (
            ['hardware:=g1', 'teleop:=scripted'],
            'teleop:=scripted is the operator of the simulator',
        ),
        (['hardware:=g1', 'driver:=/none.yaml'], '/none.yaml: No such file'),
        (['params_file:=/none.yaml'], 'params_file:=/none.yaml: No such file'),
        (['params_file:=/'], 'params_file:=/: Is a directory'),
    ],
)
def test_what_cannot_be_is_refused_by_name(words: list[str], said: str) -> None:
    assert_refused(words, said)


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('/**: {arbiter_node: [', 'is no YAML'),
        ('', 'expected node names'),
        ('- arbiter_node', 'expected node names'),
        (
            '/**: {arbiter_node: {ros__parameters: {velocty_scale: 0.1}}}',
            'is velocity_scale meant?',
        ),
    ],
)
def test_a_file_that_is_no_parameter_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """A robot would run on without its boxes: launch_ros itself only warns of a missing file."""
    path = tmp_path / 'parameters.yaml'
    path.write_text(text)
    assert_refused([f'params_file:={path}'], f'params_file:={path}', said)


def assert_refused(words: list[str], *said: str) -> None:
    done = launch(
        '--launch-prefix', 'echo', 'lwd_bringup', 'robot.launch.py', 'respawn:=false', *words
    )
    assert done.returncode != 0
    for text in said:
        assert text in done.stderr + done.stdout
    assert 'process started' not in done.stdout
