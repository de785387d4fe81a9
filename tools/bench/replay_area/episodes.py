"""Made-up robot time at full size: bags with three JPEG cameras, joints and commands, and their manifests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
from builtin_interfaces.msg import Time
from lwd_policy_node.profile import Camera, RobotProfile, load_profile
from lwd_recorder.bag import BagSummary, BagWriter
from lwd_recorder.manifest import EpisodeManifest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, JointState

from lwd_msgs.msg import ExecutedAction

NS = 1_000_000_000
START_NS = 1_000 * NS
STATE_HZ = 60
PICTURES = 24
"""Different pictures of a camera; they repeat."""
PREROLL_S = 1


@dataclass(frozen=True, slots=True)
class Size:
    """Images of an episode."""

    width: int = 640
    height: int = 480
    quality: int = 80
    image_hz: float = 30.0


def sized_profile(size: Size) -> RobotProfile:
    """The laptop's profile with cameras of this size and rate."""
    profile = load_profile('g1_laptop')
    cameras = tuple(resized(camera, size.width, size.height) for camera in profile.cameras)
    return replace(profile, cameras=cameras)


def resized(camera: Camera, width: int, height: int) -> Camera:
    """The camera with another picture size."""
    return replace(camera, width=width, height=height)


@cache
def pictures(size: Size) -> list[bytes]:
    """JPEGs of textured pictures: noise over several octaves and some edges, about .15 byte a pixel."""
    rng = np.random.default_rng(1)
    out = []
    for _ in range(PICTURES):
        image = np.zeros((size.height, size.width, 3), np.float32)
        for octave in range(3, 8):
            cells = (max(2, size.height >> octave), max(2, size.width >> octave), 3)
            noise = rng.normal(size=cells).astype(np.float32) * 1.5 * octave * octave
            image += cv2.resize(noise, (size.width, size.height), interpolation=cv2.INTER_LINEAR)
        image += 128
        for _ in range(12):
            x, y = rng.integers(0, size.width), rng.integers(0, size.height)
            colour = rng.integers(0, 256, 3).tolist()
            cv2.circle(image, (int(x), int(y)), int(rng.integers(8, 60)), colour, -1)
        out.append(
            simplejpeg.encode_jpeg(
                np.ascontiguousarray(image.clip(0, 255).astype(np.uint8)), size.quality
            )
        )
    return out


def write_bag(
    folder: Path,
    episode_id: str,
    robot_id: str,
    seconds: float,
    profile: RobotProfile,
    size: Size,
) -> BagSummary:
    """One episode of autonomous work, as a recorder writes it."""
    writer = BagWriter(folder)
    jpegs = pictures(size)
    steps = round(seconds * profile.control_rate_hz)
    events: list[tuple[int, str, str, Any]] = []
    for i in range(-PREROLL_S * STATE_HZ, round(seconds * STATE_HZ) + 1):
        events.append((START_NS + i * NS // STATE_HZ, 'joint_states', 'JointState', i))
    for i in range(round(-PREROLL_S * size.image_hz), round(seconds * size.image_hz) + 1):
        for number, camera in enumerate(profile.cameras):
            ns = START_NS + round(i * NS / size.image_hz)
            events.append((ns, camera.topic, 'CompressedImage', i * 3 + number))
    period_ns = round(NS / profile.control_rate_hz)
    for tick in range(steps):
        events.append((START_NS + tick * period_ns, 'executed_action', 'ExecutedAction', tick))
    events.sort(key=lambda event: event[0])
    make = {'JointState': _state, 'CompressedImage': _image, 'ExecutedAction': _action}
    package = {
        'JointState': 'sensor_msgs',
        'CompressedImage': 'sensor_msgs',
        'ExecutedAction': 'lwd_msgs',
    }
    for ns, topic, kind, number in events:
        message = make[kind](profile, jpegs, episode_id, number)
        message.header.stamp = Time(sec=ns // NS, nanosec=ns % NS)
        data = serialize_message(message)
        writer.write(f'/{robot_id}/{topic}', f'{package[kind]}/msg/{kind}', data, ns + 2_000, ns)
    return writer.close()


def manifest_of(
    summary: BagSummary,
    episode_id: str,
    robot_id: str,
    seconds: float,
    profile: RobotProfile,
    committed_wall_s: float,
) -> EpisodeManifest:
    """The manifest of a bag that `write_bag` made."""
    return EpisodeManifest(
        episode_id=episode_id,
        robot_id=robot_id,
        profile=profile.name,
        task='restock',
        instruction='put the red can into the bin',
        kind='rollout',
        seed=0,
        outcome='success',
        ended_by='simulator',
        started_s=START_NS / 1e9,
        ended_s=START_NS / 1e9 + seconds,
        ended_wall_s=committed_wall_s,
        committed_wall_s=committed_wall_s,
        files=summary.files,
        topics=summary.topics,
    )


def _state(profile: RobotProfile, _jpegs: list[bytes], _episode: str, number: int) -> Any:
    names = list(profile.state_names)
    position = np.sin(0.05 * number + np.arange(len(names)))
    return JointState(name=names, position=position.tolist(), velocity=(0.1 * position).tolist())


def _image(_profile: RobotProfile, jpegs: list[bytes], _episode: str, number: int) -> Any:
    return CompressedImage(format='jpeg', data=jpegs[number % len(jpegs)])


def _action(profile: RobotProfile, _jpegs: list[bytes], episode: str, number: int) -> Any:
    joints = len(profile.joint_names)
    return ExecutedAction(
        episode_id=episode,
        tick=number,
        source=ExecutedAction.SOURCE_POLICY,
        joint_names=list(profile.joint_names),
        position=np.sin(0.05 * number + np.arange(joints)).tolist(),
        wish=[0.0] * joints,
        clamps=[0] * joints,
        policy_version=3,
    )
