"""The SROS 2 policy permits every topic and service that the nodes of a launched robot have."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rclpy.node import Node

sys.path.insert(0, str(Path(__file__).parent))
from launched import Launched

pytestmark = pytest.mark.launch
ROBOT = 'g1_08'
NODES = (
    'arbiter_node',
    'policy_node',
    'teleop_node',
    'episode_node',
    'recorder_node',
    'uploader_node',
)
EVERY_NODES = ('/rosout', '/parameter_events', '/clock', f'/{ROBOT}/clock')
SIMULATORS = f'/{ROBOT}/sim/'
POLICY = Path(__file__).parents[1] / 'config' / 'security' / 'policy.xml'


@pytest.fixture
def robot(tmp_path: Path) -> Iterator[Launched]:
    arguments = {'robot_id': ROBOT, 'teleop': 'gamepad', 'store': str(tmp_path / 'store')}
    launched = Launched(tmp_path, 173, ROBOT, 'robot.launch.py', auto='false', **arguments)
    yield launched
    launched.close()


def permitted(node: str, kind: str, access: str) -> set[str]:
    """Absolute names of the topics or services of a node."""
    text = POLICY.read_text(encoding='utf-8').replace('ROBOT', ROBOT)
    path = f'.//profile[@ns="/{ROBOT}"][@node="{node}"]/{kind}[@{access}="ALLOW"]/*'
    names = [entry.text or '' for entry in ElementTree.fromstring(text).findall(path)]
    return {name if name.startswith('/') else f'/{ROBOT}/{name}' for name in names}


def used(onlooker: Node, node: str) -> dict[tuple[str, str], set[str]]:
    """What the graph says of a node, without what every node has and what only a simulator needs."""
    found = {
        ('topics', 'publish'): onlooker.get_publisher_names_and_types_by_node,
        ('topics', 'subscribe'): onlooker.get_subscriber_names_and_types_by_node,
        ('services', 'reply'): onlooker.get_service_names_and_types_by_node,
        ('services', 'request'): onlooker.get_client_names_and_types_by_node,
    }
    own = f'/{ROBOT}/{node}/'
    return {
        what: {
            name
            for name, _ in ask(node, f'/{ROBOT}')
            if name not in EVERY_NODES and not name.startswith((own, SIMULATORS))
        }
        for what, ask in found.items()
    }


def test_every_node_may_do_what_it_does(robot: Launched) -> None:
    def up() -> bool:
        names = robot.node.get_node_names()
        return all(node in names for node in NODES)

    robot.wait('all nodes', up)
    alive = f'/{ROBOT}/policy/alive'
    robot.wait('the policy', lambda: robot.node.get_publishers_info_by_topic(alive))
    lacking = {
        f'{node} {kind} {access}': names - permitted(node, kind, access)
        for node in NODES
        for (kind, access), names in used(robot.node, node).items()
    }
    assert not {who: names for who, names in lacking.items() if names}
