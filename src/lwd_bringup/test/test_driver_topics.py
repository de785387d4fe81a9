"""The driver file: names that are remapped, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from ament_index_python.packages import get_package_share_directory
from lwd_bringup.robot.driver_topics import (
    DriverTopicsError,
    hardware_topics,
    load_driver_topics,
)
from lwd_policy_node.profile import load_profile

OURS = hardware_topics(load_profile('g1'))


def test_the_file_that_ships_names_every_topic_and_changes_none() -> None:
    path = Path(get_package_share_directory('lwd_bringup'), 'config', 'g1_driver.yaml')
    assert load_driver_topics(path, OURS) == []
    assert all(f'  {name}: ' in path.read_text() for name in OURS)


def test_the_file_that_ships_fits_a_robot_with_fewer_cameras() -> None:
    """It changes no name, so it asks for no topic either."""
    path = Path(get_package_share_directory('lwd_bringup'), 'config', 'g1_driver.yaml')
    fewer = tuple(name for name in OURS if 'hand' not in name)
    assert load_driver_topics(path, fewer) == []


def test_names_that_differ_are_paired(tmp_path: Path) -> None:
    path = tmp_path / 'driver.yaml'
    path.write_text('topics:\n  joint_states: hal/joints\n  joint_command: /vendor/targets\n')
    assert load_driver_topics(path, OURS) == [
        ('joint_states', 'hal/joints'),
        ('joint_command', '/vendor/targets'),
    ]


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('topics: {joint_state: hal}', "'joint_state' is no topic of a driver; known: camera/"),
        ('topics: {joint_states: 5}', 'joint_states: 5 is no topic name'),
        ('topics: {joint_states: "hal joints"}', "'hal joints' is no topic name"),
        ('topics: {joint_states: joint_command}', "'joint_command' stands for two topics"),
        ('joint_states: hal', 'expected one mapping, topics'),
        ('topics: [', 'is no YAML'),
        ('', 'expected one mapping, topics'),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / 'driver.yaml'
    path.write_text(text)
    with pytest.raises(DriverTopicsError) as raised:
        load_driver_topics(path, OURS)
    assert said in str(raised.value)
    assert str(path) in str(raised.value)


def test_missing_file_is_named() -> None:
    with pytest.raises(DriverTopicsError, match='nowhere'):
        load_driver_topics('/nowhere.yaml', OURS)
