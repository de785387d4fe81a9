"""A robot's cameras and joints as a process: ``python -m tools.bench.recording.robot_streams PLAN``.

PLAN is JSON: ``raw`` (bool: 640x480 rgb8, else JPEG), ``episodes`` (their lengths, s, back to back). It waits for the
recorder, plays the plan, waits until the last bag is closed, and prints one JSON line an episode as it begins, then one
with everything that it published.

Messages are serialized once; a stamp is written into the bytes before each goes out, so that the load costs little more
than the middleware.
"""

from __future__ import annotations

import json
import struct
import sys
import time

import numpy as np
import rclpy
import simplejpeg
from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String, UInt32

from lwd_msgs.msg import Episode

CAMERAS = ('head', 'hand_left', 'hand_right')
IMAGE_HZ = 30
JOINT_HZ = 200
WIDTH, HEIGHT = 640, 480
_STEP_HZ = 600  # both rates divide it
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_IMAGE = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
_STAMP = struct.Struct('<iI')
_WARM_S = 3.0
_PATIENCE_S = 120.0


def picture(seed: int = 0) -> np.ndarray:
    """One frame (HEIGHT, WIDTH, 3) that is as hard to compress as a camera's."""
    rng = np.random.default_rng(seed)
    slope = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))[..., None] // 5
    return (slope + rng.integers(0, 12, (HEIGHT, WIDTH, 3))).astype(np.uint8)


class Streams:
    """The publishers."""

    def __init__(self, raw: bool) -> None:
        self.node = Node('robot_streams')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        kind, suffix = (Image, 'image_raw') if raw else (CompressedImage, 'image/compressed')
        self._cameras = [
            self.node.create_publisher(kind, f'camera/{name}/{suffix}', _IMAGE) for name in CAMERAS
        ]
        self._joints = self.node.create_publisher(JointState, 'joint_states', 10)
        self._episode = self.node.create_publisher(Episode, 'episode', _LATCHED)
        self._images = [bytearray(_image(raw, seed)) for seed in range(len(CAMERAS))]
        names = [f'joint_{i}' for i in range(20)]
        joints = JointState(name=names, position=[0.1] * 20, velocity=[0.0] * 20)
        self._joint_state = bytearray(serialize_message(joints))
        self.closed: list[str] = []
        self.ready = False
        self.node.create_subscription(
            String, 'recorder/closed', lambda m: self.closed.append(m.data), _LATCHED
        )
        self.node.create_subscription(UInt32, 'recorder/backlog', self._on_backlog, _LATCHED)
        self.images = [0] * len(CAMERAS)
        self.joints = 0

    def _on_backlog(self, _message: UInt32) -> None:
        self.ready = True

    def spin(self) -> None:
        """Hear the recorder."""
        self._executor.spin_once(timeout_sec=0)

    def wait(self, condition, what: str) -> None:
        """Until something holds."""
        give_up_s = time.monotonic() + _PATIENCE_S
        while not condition():
            if time.monotonic() > give_up_s:
                raise TimeoutError(f'no {what} in {_PATIENCE_S:.0f} s')
            self._executor.spin_once(timeout_sec=0.05)

    def play(self, seconds: float) -> None:
        """Publish everything for so long, on a steady beat."""
        began_s = time.monotonic()
        for step in range(round(seconds * _STEP_HZ)):
            due_s = began_s + step / _STEP_HZ
            pause_s = due_s - time.monotonic()
            if pause_s > 0.0005:
                time.sleep(pause_s)
            if step % (_STEP_HZ // JOINT_HZ) == 0:
                self._publish(self._joints, self._joint_state)
                self.joints += 1
            phase = step % (_STEP_HZ // IMAGE_HZ)
            if phase % 7 == 0 and phase // 7 < len(CAMERAS):  # cameras are not in step
                camera = phase // 7
                self._publish(self._cameras[camera], self._images[camera])
                self.images[camera] += 1
            if step % (_STEP_HZ // 5) == 0:
                self.spin()

    def episode(self, state: int, episode_id: str, started_ns: int) -> int:
        """Announce; answers the stamp, ns."""
        now_ns = time.time_ns()
        message = Episode(
            state=state, episode_id=episode_id, robot_id='bench', task='bench', kind='rollout',
            started=_time(started_ns or now_ns),
        )  # fmt: skip
        message.header.stamp = _time(now_ns)
        if state == Episode.ENDED:
            message.ended, message.outcome = _time(now_ns), Episode.OUTCOME_SUCCESS
            message.ended_by = 'operator'
        self._episode.publish(message)
        return now_ns

    @staticmethod
    def _publish(publisher, message: bytearray) -> None:
        now_ns = time.time_ns()
        _STAMP.pack_into(message, 4, now_ns // 10**9, now_ns % 10**9)
        publisher.publish(bytes(message))


def _time(ns: int) -> Time:
    return Time(sec=ns // 10**9, nanosec=ns % 10**9)


def _image(raw: bool, seed: int) -> bytes:
    pixels = picture(seed)
    if raw:
        image = Image(height=HEIGHT, width=WIDTH, encoding='rgb8', step=3 * WIDTH)
        image.data = pixels.tobytes()
        return serialize_message(image)
    jpeg = simplejpeg.encode_jpeg(pixels, quality=80)
    return serialize_message(CompressedImage(format='jpeg', data=jpeg))


def main() -> None:
    """Play the plan of the command line."""
    plan = json.loads(sys.argv[1])
    rclpy.init()
    streams = Streams(plan['raw'])
    streams.wait(lambda: streams.ready, 'recorder')
    streams.play(_WARM_S)
    started = []
    for number, seconds in enumerate(plan['episodes']):
        name = f'bench-{number}'
        started_ns = streams.episode(Episode.RUNNING, name, 0)
        before = sum(streams.images), streams.joints
        print(json.dumps({'began': name, 'started_ns': started_ns}), flush=True)
        streams.play(seconds)
        ended_ns = streams.episode(Episode.ENDED, name, started_ns)
        images, joints = sum(streams.images) - before[0], streams.joints - before[1]
        started.append(
            {'id': name, 'started_ns': started_ns, 'ended_ns': ended_ns, 'images': images, 'joints': joints}
        )  # fmt: skip
    print(json.dumps({'ended': True}), flush=True)
    streams.play(1.0)
    streams.wait(lambda: streams.closed[-1:] == [f'bench-{len(started) - 1}'], 'recorder/closed')
    print(json.dumps({'published': started}), flush=True)


if __name__ == '__main__':
    main()
