"""What the tests of this package share: serialized messages, bags, episodes, a real S3 server."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lwd_recorder.bag import BagWriter, message_definition
from lwd_recorder.manifest import EpisodeManifest
from lwd_recorder.store.loopback import serving
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

# For recorded_robot and fault_rig: tests are imported by path. Their processes look there, too.
sys.path.append(str(Path(__file__).parent))
os.environ['PYTHONPATH'] = os.pathsep.join(
    filter(None, (os.environ.get('PYTHONPATH'), str(Path(__file__).parent)))
)

JOINT_STATE = 'sensor_msgs/msg/JointState'
IMAGE = 'sensor_msgs/msg/CompressedImage'
SIM_STATE = 'lwd_msgs/msg/SimState'
EPISODE = 'lwd_msgs/msg/Episode'


class Messages:
    """Serializes messages from our definitions alone, without ROS."""

    def __init__(self) -> None:
        self.types = get_typestore(Stores.EMPTY)
        for type_name in (JOINT_STATE, IMAGE, SIM_STATE, EPISODE):
            self.types.register(get_types_from_msg(message_definition(type_name), type_name))

    def header(self, stamp_ns: int) -> Any:
        stamp = self.types.types['builtin_interfaces/msg/Time'](
            sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9
        )
        return self.types.types['std_msgs/msg/Header'](stamp=stamp, frame_id='base')

    def joint_state(self, stamp_ns: int, joints: int = 20) -> bytes:
        message = self.types.types[JOINT_STATE](
            header=self.header(stamp_ns),
            name=[f'joint_{i}' for i in range(joints)],
            position=np.linspace(-1.0, 1.0, joints),
            velocity=np.zeros(joints),
            effort=np.zeros(0),
        )
        return bytes(self.types.serialize_cdr(message, JOINT_STATE))

    def image(self, stamp_ns: int, size: int = 2000, seed: int = 0) -> bytes:
        message = self.types.types[IMAGE](
            header=self.header(stamp_ns),
            format='jpeg',
            data=np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8),
        )
        return bytes(self.types.serialize_cdr(message, IMAGE))

    def episode(
        self, episode_id: str, started_ns: int, ended_ns: int = 0, outcome: int = 0
    ) -> bytes:
        """Serialize an Episode message: RUNNING, or ENDED if there is an end."""
        time = self.types.types['builtin_interfaces/msg/Time']
        now_ns = ended_ns or started_ns
        message = self.types.types[EPISODE](
            header=self.header(now_ns),
            state=2 if ended_ns else 1,
            episode_id=episode_id,
            robot_id='g1_01',
            task='restock',
            instruction='put the red can on the shelf',
            kind='rollout',
            seed=7,
            started=time(sec=started_ns // 10**9, nanosec=started_ns % 10**9),
            ended=time(sec=ended_ns // 10**9, nanosec=ended_ns % 10**9),
            outcome=outcome,
            ended_by='operator' if ended_ns else '',
        )
        return bytes(self.types.serialize_cdr(message, EPISODE))


@pytest.fixture(scope='session')
def messages() -> Messages:
    return Messages()


@pytest.fixture
def make_bag(messages: Messages) -> Callable[..., SimpleNamespace]:
    """Write a bag; returns its folder, its summary and the messages in it."""

    def make(folder: Path, count: int = 30, **options: Any) -> SimpleNamespace:
        written = []
        with BagWriter(folder, **options) as bag:
            for i in range(count):
                stamp_ns = i * 33_000_000
                for topic, type_name, data in (
                    ('/g1_01/joint_states', JOINT_STATE, messages.joint_state(stamp_ns)),
                    (
                        '/g1_01/camera/head/image/compressed',
                        IMAGE,
                        messages.image(stamp_ns, seed=i),
                    ),
                ):
                    bag.write(topic, type_name, data, stamp_ns + 1_000_000, stamp_ns)
                    written.append((topic, type_name, data, stamp_ns + 1_000_000))
            summary = bag.close()
        return SimpleNamespace(folder=folder, summary=summary, written=written)

    return make


@pytest.fixture
def make_episode(make_bag: Callable[..., SimpleNamespace]) -> Callable[..., EpisodeManifest]:
    """Write a bag and its manifest into a folder named after the episode."""

    def make(folder: Path, **facts: Any) -> EpisodeManifest:
        summary = make_bag(folder).summary
        manifest = EpisodeManifest(**(manifest_facts(folder.name) | facts), **bag_facts(summary))
        manifest.save(folder)
        return manifest

    return make


def manifest_facts(episode_id: str) -> dict[str, Any]:
    """Return a valid manifest's fields, files and topics left out."""
    return {
        'episode_id': episode_id,
        'robot_id': 'g1_01',
        'profile': 'g1_laptop',
        'task': 'restock',
        'instruction': 'put the red can on the shelf',
        'kind': 'rollout',
        'seed': 7,
        'outcome': 'success',
        'ended_by': 'simulator',
        'started_s': 1.0,
        'ended_s': 12.5,
        'ended_wall_s': 1_795_000_000.25,
        'committed_wall_s': 0.0,
    }


def bag_facts(summary: Any) -> dict[str, Any]:
    return {'files': summary.files, 'topics': summary.topics}


@pytest.fixture(scope='session')
def s3_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a real S3 server (SeaweedFS) on loopback; yields an s3:// address and sets AWS_* for it."""
    with serving(tmp_path_factory.mktemp('seaweedfs'), 'episodes') as uri:
        yield uri
