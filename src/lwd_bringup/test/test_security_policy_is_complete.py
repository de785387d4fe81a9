"""The SROS 2 policy permits every topic and service that the nodes of a robot and of its learner have.

Under `Enforce` a node that lacks one of them does not start.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

import pytest
import rclpy
from lwd_learner.fleet.listener import FleetListener
from lwd_learner.fleet.view import FleetView
from lwd_learner.publish import Publisher
from lwd_policy_node.nodes import qos
from lwd_policy_node.weights import ensure_key_pair
from rclpy.node import Node
from std_msgs.msg import UInt32

from lwd_msgs.srv import StartEpisode

sys.path.insert(0, str(Path(__file__).parent))
from launched import Launched

pytestmark = pytest.mark.launch
DOMAIN = 180
ROBOT = 'g1_08'
NODES = (
    'arbiter_node',
    'policy_node',
    'teleop_node',
    'episode_node',
    'recorder_node',
    'uploader_node',
)
POLICY = Path(__file__).parents[1] / 'config' / 'security' / 'policy.xml'


@pytest.fixture
def robot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launched]:
    """A real one, whose driver is missing, and who looks after it."""
    monkeypatch.setenv('ROS_DOMAIN_ID', str(DOMAIN))
    ensure_key_pair(tmp_path / 'keys')
    arguments = {'robot_id': ROBOT, 'hardware': 'g1', 'store': str(tmp_path / 'store')}
    launched = Launched(tmp_path, DOMAIN, ROBOT, 'robot.launch.py', **arguments)
    with (
        FleetListener(FleetView()),
        Publisher(tmp_path / 'train', tmp_path / 'keys' / 'learner.ed25519'),
    ):
        yield launched
    launched.close()


def permitted(namespace: str, node: str, kind: str, access: str) -> set[str]:
    """Absolute names of the topics or services of a node, which may contain `*`; resolved as sros2 does."""
    text = POLICY.read_text(encoding='utf-8').replace('ROBOT', ROBOT)
    path = f'.//profile[@ns="{namespace}"][@node="{node}"]/{kind}[@{access}="ALLOW"]/*'
    names = [entry.text or '' for entry in ElementTree.fromstring(text).findall(path)]
    base = namespace.rstrip('/')
    own = [name.replace('~', f'{base}/{node}', 1) for name in names]
    return {name if name.startswith('/') else f'{base}/{name}' for name in own}


def used(onlooker: Node, namespace: str, node: str) -> dict[tuple[str, str], set[str]]:
    """What the graph says of a node."""
    found = {
        ('topics', 'publish'): onlooker.get_publisher_names_and_types_by_node,
        ('topics', 'subscribe'): onlooker.get_subscriber_names_and_types_by_node,
        ('services', 'reply'): onlooker.get_service_names_and_types_by_node,
        ('services', 'request'): onlooker.get_client_names_and_types_by_node,
    }
    return {what: {name for name, _ in ask(node, namespace)} for what, ask in found.items()}


def lacking(onlooker: Node, namespace: str, node: str) -> dict[str, set[str]]:
    """What a node has and may not have."""
    found = {}
    for (kind, access), names in used(onlooker, namespace, node).items():
        rights = permitted(namespace, node, kind, access)
        denied = {name for name in names if not any(fnmatchcase(name, right) for right in rights)}
        if denied:
            found[f'{node} {kind} {access}'] = denied
    return found


def test_every_node_may_do_what_it_does(robot: Launched) -> None:
    wanted = {*((name, f'/{ROBOT}') for name in NODES), ('learner', '/'), ('fleet', '/')}
    robot.wait('all nodes', lambda: wanted <= set(robot.node.get_node_names_and_namespaces()))
    alive = f'/{ROBOT}/policy/alive'
    robot.wait('the policy', lambda: robot.node.get_publishers_info_by_topic(alive))
    backlog = robot.collect(UInt32, 'recorder/backlog', qos.RECORDER_STATE)
    robot.wait('the recorder', lambda: backlog)

    # The recorder asks all nodes of the robot for their parameters, for as long as one of them does not answer.
    silent = rclpy.create_node('silent', namespace=ROBOT, context=robot.context)
    robot.call(StartEpisode, 'episode/start', StartEpisode.Request(task='restock'))

    def asked() -> bool:
        names = used(robot.node, f'/{ROBOT}', 'recorder_node')['services', 'request']
        return f'/{ROBOT}/arbiter_node/get_parameters' in names

    robot.wait('the survey of parameters', asked)
    denied = {}
    for node, namespace in wanted:
        denied |= lacking(robot.node, namespace, node)
    silent.destroy_node()
    assert not denied, '\n'.join(f'{who}: {sorted(names)}' for who, names in denied.items())
