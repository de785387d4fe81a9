"""From a complete observation to its chunk: in this process, and through policy_node over DDS."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import simplejpeg
from lwd_policy_node.inference import Observation, Planner
from lwd_policy_node.inference.observation import decode_images
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.wire import stamp_of
from lwd_policy_node.policy import Policy
from sensor_msgs.msg import CompressedImage, JointState

from tools.bench.runtime.checkpoint import INSTRUCTION
from tools.bench.runtime.rig import Rig

CORE = 0
OBSERVATIONS = 60
PERIOD_S = 0.35  # longer than a planning period: each observation calls for a chunk


def node_and_in_process_ms(rig: Rig) -> tuple[float, float]:
    """Median ms from the last message of an observation to its chunk on the wire, and in process.

    Both run on one core; the rig's policy_node is started here, its streams come from the bench.
    """
    rig.start_node('lwd_policy_node.nodes.policy_node', core=CORE)
    streams = _Streams(rig)
    rig.wait('policy_node', streams.heard)
    rig.episode('latency')
    policy = Policy.load(rig.checkpoint, threads=1)
    planner = Planner(rig.profile)
    node_ms, here_ms = [], []
    with _on_core(CORE):
        while len(node_ms) < OBSERVATIONS:
            stamp_ns, complete_ns = streams.send()
            rig.spin(PERIOD_S)
            if stamp_ns in rig.chunks_ns:  # none yet while policy_node loads its weights
                node_ms.append((rig.chunks_ns[stamp_ns] - complete_ns) * 1e-6)
            began = time.perf_counter()
            images = decode_images(rig.profile, streams.jpegs)
            observation = Observation(stamp_ns, images, streams.row, INSTRUCTION)
            planner.plan(policy, 1, observation, 'latency')
            here_ms.append((time.perf_counter() - began) * 1e3)
    return statistics.median(node_ms), statistics.median(here_ms)


class _Streams:
    """Random images and joints, sent on demand."""

    def __init__(self, rig: Rig) -> None:
        rng = np.random.default_rng(0)
        self.jpegs = {
            c.name: simplejpeg.encode_jpeg(
                rng.integers(0, 256, (c.height, c.width, 3), dtype=np.uint8)
            )
            for c in rig.profile.cameras
        }
        self.row = np.zeros(len(rig.profile.state_columns), np.float32)
        names = list(rig.profile.state_names)
        self._state = JointState(name=names, position=[0.0] * len(names))
        self._joints = rig.node.create_publisher(JointState, 'joint_states', qos.JOINT_STATES)
        self._cameras = {
            c.name: rig.node.create_publisher(CompressedImage, c.topic, qos.CAMERA)
            for c in rig.profile.cameras
        }

    def heard(self) -> bool:
        """Whether somebody listens to every stream."""
        writers = [self._joints, *self._cameras.values()]
        return all(writer.get_subscription_count() for writer in writers)

    def send(self) -> tuple[int, int]:
        """Publish one instant; its stamp, and when its last message was given to DDS, ns."""
        stamp_ns = time.time_ns()
        self._state.header.stamp = stamp_of(stamp_ns)
        for name, camera in self._cameras.items():
            camera.publish(
                CompressedImage(header=self._state.header, format='jpeg', data=self.jpegs[name])
            )
        complete_ns = time.time_ns()
        self._joints.publish(self._state)
        return stamp_ns, complete_ns


@contextmanager
def _on_core(core: int) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
