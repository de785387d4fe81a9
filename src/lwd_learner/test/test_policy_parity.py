"""One checkpoint, three ways to run it: in this process, in policy_node over DDS, and over the bag of that run."""

from __future__ import annotations

import math
import runpy
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
import torch
from lwd_policy_node.inference import Observation, ObservationAssembler, Planner
from lwd_policy_node.inference.observation import decode_images
from lwd_policy_node.nodes import qos
from lwd_policy_node.policy import Policy, preset
from lwd_policy_node.profile import load_profile
from lwd_policy_node.weights import Manifest, WeightsStore, ensure_key_pair
from lwd_policy_node.weights.checks import file_sha256
from lwd_policy_node.weights.keys import load_private_key
from lwd_policy_node.weights.wire import time_message, time_ns
from lwd_recorder.bag import BagWriter, read_bag
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, JointState

from lwd_msgs.msg import ActionChunk, Episode

pytestmark = pytest.mark.launch
PROFILE = load_profile('g1_laptop')
NAMESPACE = '/g1_01'
INSTRUCTION = 'put the red can on the shelf'
ON_THE_ROBOT = Path(__file__).parents[2] / 'lwd_policy_node' / 'test' / 'conftest.py'
TOLERANCE = 1e-5  # rad, and gripper fractions
CHUNKS = 4
TYPES = {
    'sensor_msgs/msg/JointState': JointState,
    'sensor_msgs/msg/CompressedImage': CompressedImage,
    'lwd_msgs/msg/Episode': Episode,
    'lwd_msgs/msg/ActionChunk': ActionChunk,
}


@dataclass(frozen=True)
class Sent:
    """What the robot sent at one instant, as it was before any encoding but the JPEG's."""

    jpegs: dict[str, bytes]
    state: Any


def _checkpoint(home: Path) -> Path:
    """A policy of the laptop's size with random weights, kept by the robot as its active version."""
    torch.manual_seed(0)
    policy = Policy(preset('tiny', PROFILE))
    policy.sentences.remember([INSTRUCTION], torch.randn(1, 384))
    path = home / 'policy.safetensors'
    policy.save(path)
    manifest = Manifest(
        published_ns=time.time_ns(),
        version=1,
        parent=0,
        stage='sft',
        step=0,
        config_hash=policy.config_hash,
        replay_version='',
        size_bytes=path.stat().st_size,
        sha256=file_sha256(path),
    ).signed(load_private_key(ensure_key_pair(home / 'keys').private_path))
    store = WeightsStore(home / 'robots' / 'g1_01' / 'weights')
    kept = store.admit(manifest, path)
    store.set_active(1)
    return kept


class Streams:
    """Random images and joints of one robot, sent on demand, and a bag of all that is on the wire."""

    def __init__(self, bench: Any, folder: Path) -> None:
        self.rng = np.random.default_rng(0)
        self.bench = bench
        self.sent: dict[int, Sent] = {}
        self.chunks: list[ActionChunk] = []
        node = bench.node
        self.bag = BagWriter(folder)
        self.joints = node.create_publisher(JointState, 'joint_states', qos.JOINT_STATES)
        self.episode_out = node.create_publisher(Episode, 'episode', qos.EPISODE)
        self.cameras = {
            camera.name: node.create_publisher(CompressedImage, camera.topic, qos.reliable(50))
            for camera in PROFILE.cameras
        }
        self.record(JointState, 'joint_states', qos.JOINT_STATES)
        self.record(Episode, 'episode', qos.EPISODE_READER)
        self.record(ActionChunk, 'action_chunk', qos.ACTION_CHUNK)
        for camera in PROFILE.cameras:
            self.record(CompressedImage, camera.topic, qos.reliable(50))
        node.create_subscription(ActionChunk, 'action_chunk', self.chunks.append, qos.ACTION_CHUNK)

    def record(self, kind: Any, topic: str, profile: Any) -> None:
        name = next(name for name, known in TYPES.items() if known is kind)

        def write(data: bytes) -> None:
            self.bag.write(f'{NAMESPACE}/{topic}', name, data, time.time_ns())

        self.bench.node.create_subscription(kind, topic, write, profile, raw=True)

    def instant(self, stamp_ns: int) -> None:
        """New images of every camera, and the joints of that moment."""
        size = len(PROFILE.state_names)
        position, velocity = self.rng.uniform(-0.2, 0.2, (2, size))
        jpegs = {
            camera.name: simplejpeg.encode_jpeg(
                self.rng.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
            )
            for camera in PROFILE.cameras
        }
        self.sent[stamp_ns] = Sent(jpegs, np.float32([*position, *velocity]))
        state = JointState(name=list(PROFILE.state_names), position=position, velocity=velocity)
        state.header.stamp = time_message(stamp_ns)
        for name, out in self.cameras.items():
            image = CompressedImage(header=state.header, format='jpeg', data=jpegs[name])
            out.publish(image)
        self.joints.publish(state)


def _from_bag(folder: Path, policy: Policy) -> list[Any]:
    """The chunks that a policy plans from a bag, one for each that was recorded."""
    assembler, planner = ObservationAssembler(PROFILE, 1.0), Planner(PROFILE)
    cameras = {f'{NAMESPACE}/{camera.topic}': camera.name for camera in PROFILE.cameras}
    seen: dict[int, Any] = {}
    recorded: list[Any] = []
    for topic, type_name, data, _ in read_bag(folder):
        message = deserialize_message(data, TYPES[type_name])
        if topic in cameras:
            stamp_ns = time_ns(message.header.stamp)
            assembler.put_image(cameras[topic], stamp_ns, bytes(message.data))
        elif topic.endswith('/joint_states'):
            assembler.put_joint_state(
                time_ns(message.header.stamp), message.name, message.position, message.velocity
            )
        elif topic.endswith('/action_chunk'):
            recorded.append(message)
        elif topic.endswith('/episode'):
            instruction = message.instruction
        taken = assembler.take()
        if taken is not None:
            seen.setdefault(taken[0], taken)
    plans = []
    for chunk in recorded:
        stamp_ns, jpegs, state = seen[time_ns(chunk.header.stamp)]
        observation = Observation(stamp_ns, decode_images(PROFILE, jpegs), state, instruction)
        plans.append(planner.plan(policy, 1, observation, chunk.episode_id).actions)
    return plans


def _run(bench: Any, bag: Path) -> Streams:
    """policy_node plans a few chunks from random streams, recorded."""
    streams = Streams(bench, bag)
    bench.start('policy_node', profile='g1_laptop')
    bench.wait('policy_node', lambda: streams.joints.get_subscription_count() == 2, 60.0)
    started_ns = time.time_ns()
    episode = Episode(state=Episode.RUNNING, episode_id='e1', kind='rollout')
    episode.instruction = INSTRUCTION
    episode.started = episode.header.stamp = time_message(started_ns)
    streams.episode_out.publish(episode)
    sent_s = -math.inf

    def enough() -> bool:
        """Send an instant per planning period until the node has planned often enough."""
        nonlocal sent_s
        if time.monotonic() - sent_s > 1.5 * PROFILE.replan_steps * PROFILE.control_period_s:
            sent_s = time.monotonic()
            streams.instant(time.time_ns())
        return len(streams.chunks) >= CHUNKS

    bench.wait('chunks', enough, 90.0)
    streams.bag.close()
    return streams


def test_in_process_node_and_bag_replay_give_the_same_action(tmp_path: Path) -> None:
    """To 1e-5, on random images and joints, every chunk of a run."""
    path = _checkpoint(tmp_path)
    bench = runpy.run_path(str(ON_THE_ROBOT))['DdsBench'](133, 'g1_01', tmp_path)
    try:
        streams = _run(bench, tmp_path / 'bag')
    finally:
        bench.close()

    policy = Policy.load(path, threads=1)
    replayed = _from_bag(tmp_path / 'bag', policy)
    assert len(replayed) >= CHUNKS
    for seed, chunk in enumerate(streams.chunks[:CHUNKS], start=1):
        stamp_ns = time_ns(chunk.header.stamp)
        sent = streams.sent[stamp_ns]
        images = decode_images(PROFILE, sent.jpegs)
        here = policy.act(Observation(stamp_ns, images, sent.state, INSTRUCTION), seed)
        node = np.reshape(chunk.actions, (chunk.steps, len(PROFILE.joints)))
        assert np.ptp(here) > 0.01, 'a policy that does the same whatever it sees proves nothing'
        np.testing.assert_allclose(node, here, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(replayed[seed - 1], here, rtol=0, atol=TOLERANCE)
