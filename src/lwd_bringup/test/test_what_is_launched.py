"""Which processes the arguments start, and with which command lines: each is run as `echo <command line>`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from launched import install_standin

ROBOT = (
    'sim_node',
    'arbiter_node',
    'policy_node',
    'teleop_node',
    'recorder_node',
    'uploader_node',
)
ALL = {**dict.fromkeys(ROBOT, 1), 'episode_node': 1}


def lines(
    file: str, *words: str, prefix: Path | None = None, show: str | Path = 'echo'
) -> list[str]:
    """The command lines, as `show` prints them; packages below `prefix` are there too."""
    environment = dict(os.environ)
    if prefix is not None:
        environment['AMENT_PREFIX_PATH'] = f'{prefix}:{environment["AMENT_PREFIX_PATH"]}'
    command = ['ros2', 'launch', '--launch-prefix', str(show), 'lwd_bringup', file]
    command.append('respawn:=false')
    done = subprocess.run(
        [*command, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return re.findall(r'^\[\w+-\d+\] (/.*)$', done.stdout, re.MULTILINE)


def programs(found: list[str]) -> dict[str, int]:
    return dict(Counter(Path(line.split()[0]).name for line in found))


@pytest.mark.parametrize(
    ('words', 'without'),
    [
        ([], []),
        (['teleop:=none'], ['teleop_node']),
        (['record:=false'], ['recorder_node']),  # what was recorded before is delivered
        (['record:=false', 'upload:=false'], ['recorder_node', 'uploader_node']),
        (['upload:=false'], ['uploader_node']),
        (['hardware:=g1'], ['sim_node']),
    ],
)
def test_robot_runs_what_it_is_asked_for(words: list[str], without: list[str]) -> None:
    found = lines('robot.launch.py', 'robot_id:=g1_09', *words)
    assert programs(found) == {name: 1 for name in ALL if name not in without}
    assert all('__ns:=/g1_09 ' in line for line in found)
    simulated = 'hardware:=g1' not in words
    assert all(f'use_sim_time:={simulated}'.lower() in line.lower() for line in found)


def test_simulator_and_scripted_operator_know_the_same_level() -> None:
    default = '-p shift:=trained'  # what is given goes into a parameter file instead
    for words, nodes in (([], ['sim_node', 'teleop_node']), (['shift:=shift'], [])):
        found = lines('robot.launch.py', *words)
        assert sorted(Path(x.split()[0]).name for x in found if default in x) == nodes


def test_robot_can_bring_a_learner() -> None:
    """It is nobody's node: outside the namespace, on the wall clock; it gets the robot's profile."""
    found = lines(
        'robot.launch.py', 'learner:=start', 'profile:=g1', 'train_args:=--online-minutes 60'
    )
    assert programs(found) == {**ALL, 'train': 1}
    [train] = [line for line in found if '/train ' in line]
    assert '--resume --profile g1 --online-minutes 60' in train
    assert '--ros-args' not in train  # which it would refuse
    assert '__ns' not in train and 'use_sim_time' not in train and ':=clock' not in train


def test_fleet_is_so_many_robots_and_one_learner() -> None:
    found = lines('fleet_sim.launch.py', 'robots:=3', 'learner:=start', 'upload:=false')
    expected = {name: 3 for name in ALL if name != 'uploader_node'}
    assert programs(found) == {**expected, 'train': 1}
    names = Counter(re.search(r'__ns:=(\S+)', line)[1] for line in found if '__ns' in line)  # type: ignore[index]
    assert names == {f'/g1_0{index}': 6 for index in (1, 2, 3)}
    # What one robot leaves at its default is not given to the next: a parameter file may still say it.
    assert all('-p velocity_scale:=1.0' in line for line in found if '/arbiter_node ' in line)
    # Nor is a default of the fleet's own; each robot has scenes of its own all the same.
    episodes = [line for line in found if '/episode_node ' in line]
    for default in ('max_episodes:=0', 'time_limit_s:=0.0', 'seed:=0'):
        assert all(f'-p {default}' in line for line in episodes), default


def test_fleet_gives_its_robots_what_it_is_given(tmp_path: Path) -> None:
    """To each another first scene; the arguments of a robot that the fleet does not know go through as they are."""
    parameters = tmp_path / 'parameters.yaml'
    parameters.write_text(yaml.safe_dump({'/**': {'ros__parameters': {'pause_s': 1.0}}}))
    show = tmp_path / 'show'  # with the files in which launch hands over what is given
    given = '$(cat /dev/null $(printf "%s\\n" "$@" | grep launch_params_))'
    show.write_text(f'#!/bin/sh\necho "$@" {given}\n', encoding='utf-8')
    show.chmod(0o755)
    words = ['robots:=2', 'seed:=500', 'max_episodes:=3', 'speed:=0.5']
    found = lines('fleet_sim.launch.py', *words, f'params_file:={parameters}', show=show)
    assert all(f'--params-file {parameters}' in line for line in found)
    arbiters = [line for line in found if '/arbiter_node ' in line]
    assert len(arbiters) == 2 and all(' velocity_scale: 0.5' in line for line in arbiters)
    episodes = [line for line in found if '/episode_node ' in line]
    assert len(episodes) == 2 and all(' max_episodes: 3' in line for line in episodes)
    assert all(' simulator: true' in line for line in episodes)
    assert sorted(line.split(' seed: ')[1].split()[0] for line in episodes) == ['100500', '500']


def test_learner_takes_a_store() -> None:
    [train] = lines('learner.launch.py', 'store:=s3://fleet/lwd')
    assert '--resume --profile g1_laptop --store s3://fleet/lwd' in train


def test_missing_rviz_is_one_line_and_no_more() -> None:
    command = ['ros2', 'launch', '--launch-prefix', 'echo', 'lwd_bringup', 'rviz.launch.py']
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    said = [line for line in done.stdout.splitlines() if 'no RViz' in line]
    if not said:
        assert 'rviz2-' in done.stdout  # installed here
        return
    assert done.returncode == 0 and len(said) == 1
    assert 'robot_state_publisher' in said[0] or 'rviz2' in said[0]
    assert 'process started' not in done.stdout


def test_rviz_runs_in_the_namespace_under_the_names_of_the_driver(tmp_path: Path) -> None:
    for package in ('rviz2', 'robot_state_publisher'):
        install_standin(tmp_path, package)
    driver = tmp_path / 'driver.yaml'
    driver.write_text(yaml.safe_dump({'topics': {'joint_states': 'hal/joints'}}))
    words = ['robot_id:=g1_09', 'hardware:=g1', f'driver:={driver}']
    found = lines('rviz.launch.py', *words, prefix=tmp_path)
    assert programs(found) == {'robot_state_publisher': 1, 'rviz2': 1}
    for line in found:
        assert '__ns:=/g1_09 ' in line and 'use_sim_time:=false' in line.lower()
        for remapping in ('joint_states:=hal/joints', '/tf:=tf', '/tf_static:=tf_static'):
            assert f' -r {remapping}' in line
    assert any('-d ' in line and 'rviz/lwd.rviz' in line for line in found)
