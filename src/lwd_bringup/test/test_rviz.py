"""RViz finds what its configuration names: topics, types, QoS and frames of a launched robot, over DDS."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ament_index_python.packages import get_package_share_directory
from lwd_policy_node.nodes import qos
from lwd_policy_node.profile import load_profile
from rclpy.qos import QoSCompatibility, qos_check_compatible
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / 'standins'))
from displays import shown_topics
from launched import Launched, install_standin

CONFIG = yaml.safe_load(
    Path(get_package_share_directory('lwd_bringup'), 'rviz', 'lwd.rviz').read_text()
)
PROFILE = load_profile('g1_laptop')


@pytest.fixture
def robot(tmp_path: Path) -> Iterator[Launched]:
    for package in ('rviz2', 'robot_state_publisher'):
        install_standin(tmp_path / 'prefix', package)
    arguments = {'robot_id': 'g1_07', 'rviz': 'true', 'teleop': 'none', 'record': 'false'}
    arguments['respawn'] = 'false'
    launched = Launched(tmp_path, 171, 'g1_07', 'robot.launch.py', **arguments)
    yield launched
    launched.close()


def test_the_configuration_shows_robot_cameras_and_markers() -> None:
    """Every camera of the profile, and nothing that only one robot_id has."""
    topics = [shown.topic for shown in shown_topics(CONFIG)]
    assert {camera.topic for camera in PROFILE.cameras} <= set(topics)
    assert {'robot_description', 'policy/markers'} <= set(topics)
    assert not any(topic.startswith('/') for topic in topics)


@pytest.mark.launch
def test_every_display_is_served(robot: Launched, tmp_path: Path) -> None:
    """In rviz2's place a node subscribes as the displays say, and gets a message on every topic."""

    def report() -> dict[str, Any]:
        path = tmp_path / 'rviz2.json'
        return json.loads(path.read_text()) if path.exists() else {}

    markers = robot.collect(MarkerArray, 'policy/markers', qos.MARKERS)
    images = {
        camera.name: robot.collect(CompressedImage, camera.topic, qos.CAMERA)
        for camera in PROFILE.cameras
    }
    robot.wait(
        'a message on every display',
        lambda: (found := report()) and all(found['messages'].values()),
    )
    found = report()
    expected = {f'/g1_07/{shown.topic}' for shown in shown_topics(CONFIG)}
    assert set(found['messages']) == expected
    assert found['tf'] == '/g1_07/tf'
    assert found['use_sim_time'] is True
    for shown in shown_topics(CONFIG):
        writers = robot.node.get_publishers_info_by_topic(f'/g1_07/{shown.topic}')
        assert len(writers) == 1, shown.display
        kind = shown.type.__module__.split('.')[0] + '/msg/' + shown.type.__name__
        assert writers[0].topic_type == kind
        match, reason = qos_check_compatible(writers[0].qos_profile, shown.qos)
        assert match != QoSCompatibility.ERROR, f'{shown.display}: {reason}'

    # Frames: of the display, the markers and the pictures, all in the URDF that RViz was given.
    described = robot.collect(String, 'robot_description', qos.latched())
    robot.wait('the description', lambda: described)
    urdf = ET.fromstring(described[0].data)
    links = {link.get('name') for link in urdf.findall('link')}
    assert CONFIG['Visualization Manager']['Global Options']['Fixed Frame'] in links
    robot.wait('markers', lambda: markers)
    assert {marker.header.frame_id for array in markers for marker in array.markers} <= links
    for name, received in images.items():
        robot.wait(f'a picture of {name}', lambda received=received: received)
        assert received[0].header.frame_id in links
    moving = {
        joint.get('name')
        for joint in urdf.findall('joint')
        if joint.get('type') != 'fixed' and joint.find('mimic') is None
    }
    heard = robot.wait(
        'joint_states at robot_state_publisher',
        lambda: (tmp_path / 'joints.txt').exists() and (tmp_path / 'joints.txt').read_text(),
    )
    assert moving == set(heard.split('\n')) == set(PROFILE.state_names)
