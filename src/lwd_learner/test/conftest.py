"""Episodes made by hand: bags of real messages, put into a folder store the way an uploader does."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lwd_policy_node.profile
import numpy as np
import pytest
import simplejpeg
from builtin_interfaces.msg import Time
from lwd_policy_node.profile import RobotProfile, load_profile
from lwd_recorder.bag import BagSummary, BagWriter
from lwd_recorder.durable import sha256_of
from lwd_recorder.manifest import EpisodeManifest
from lwd_recorder.store import FolderStore
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, JointState

from lwd_msgs.msg import ExecutedAction, SimState

PERIOD_NS = 33_333_333
START_NS = 1_000 * 1_000_000_000
POLICY, HUMAN = ExecutedAction.SOURCE_POLICY, ExecutedAction.SOURCE_HUMAN


def stamp(ns: int) -> Time:
    return Time(sec=ns // 1_000_000_000, nanosec=ns % 1_000_000_000)


def frame(tick: int, camera: int) -> bytes:
    """A JPEG that differs for every tick and camera."""
    image = np.full((64, 64, 3), (tick * 7 % 256, camera * 80, 128), np.uint8)
    image[: 1 + tick % 64, :8] = 255
    return simplejpeg.encode_jpeg(image, 90)


@dataclass
class HandMade:
    """What an episode is made of. Tick k is stamped START_NS + k periods; value k stands in action[0] and state[0]."""

    episode_id: str = 'g1_01-20250101T000000-00000001'
    robot_id: str = 'g1_01'
    task: str = 'restock'
    kind: str = 'rollout'
    outcome: str = 'success'
    sources: Sequence[int] = (POLICY,) * 12
    """Source of each tick's command."""
    missing: Sequence[int] = ()
    """Ticks without executed_action (the joint states and images go on)."""
    image_every: int = 3
    joints: Sequence[str] | None = None
    labels: bool = True
    ended_ns: int | None = None
    old_scene: tuple[str, Sequence[str], int] | None = None
    """(task, label names, tick of the reset): what the simulator shows before that tick, its labels all 9."""
    lost_images: Sequence[int] = ()
    """Ticks whose images did not arrive."""
    lost_states: Sequence[int] = ()
    """Ticks whose joint states did not arrive."""
    set_back: tuple[int, int] | None = None
    """(tick, ns): from that tick on, the robot's clock is so much behind."""
    order: Sequence[int] | None = None
    """Ticks in the order in which their messages arrived; None: as they were sent."""
    restarted_at: int | None = None
    """Tick from which the arbiter counts anew."""
    extra: list[tuple[str, str, bytes, int]] = field(default_factory=list)
    """More messages: (topic below the robot, type, CDR, log time)."""

    @property
    def end_ns(self) -> int:
        return self.stamp_ns(len(self.sources)) if self.ended_ns is None else self.ended_ns

    def stamp_ns(self, tick: int) -> int:
        late = self.set_back is not None and tick >= self.set_back[0]
        return START_NS + tick * PERIOD_NS - (self.set_back[1] if late else 0)

    def sim_state(self, tick: int) -> SimState:
        task, names, label, reset = self.task, ['can.x', 'can.y'], [tick, -1.0], -3
        if self.old_scene is not None:
            reset = self.old_scene[2]
            if tick < reset:
                task, names, reset = self.old_scene[0], list(self.old_scene[1]), -300
                label = [9.0] * len(names)
        sim = SimState(task=task, tick=tick - reset, qpos=[0.0] * 3, qvel=[0.0] * 3, ctrl=[0.0])
        sim.label, sim.label_names, sim.header.stamp = label, names, stamp(self.stamp_ns(tick))
        return sim


def write_bag(folder: Path, made: HandMade, profile: RobotProfile) -> BagSummary:
    writer = BagWriter(folder)
    names = list(profile.state_names if made.joints is None else made.joints)
    root = f'/{made.robot_id}'

    def write(topic: str, type_name: str, message: Any, log_ns: int) -> None:
        writer.write(f'{root}/{topic}', type_name, serialize_message(message), log_ns)

    for tick in made.order or range(-3, len(made.sources) + 1):
        ns = made.stamp_ns(tick)
        state = JointState(name=names, position=[float(tick), *([0.25] * (len(names) - 1))])
        state.header.stamp = stamp(ns)
        if tick not in made.lost_states:
            write('joint_states', 'sensor_msgs/msg/JointState', state, ns + 1_000)
        if tick % made.image_every == 0 and tick not in made.lost_images:
            for number, camera in enumerate(profile.cameras):
                image = CompressedImage(format='jpeg', data=frame(tick + 3, number))
                image.header.stamp = stamp(ns)
                write(camera.topic, 'sensor_msgs/msg/CompressedImage', image, ns + 2_000)
        if made.labels:
            write('sim/state', 'lwd_msgs/msg/SimState', made.sim_state(tick), ns + 1_500)
        if tick in made.missing:
            continue
        inside = 0 <= tick < len(made.sources)
        action = ExecutedAction(
            episode_id=made.episode_id if inside else '',
            tick=tick + 100 if made.restarted_at is None or tick < made.restarted_at else tick,
            source=made.sources[tick] if inside else ExecutedAction.SOURCE_HOLD,
            joint_names=list(profile.joint_names),
            position=[float(tick), *([0.5] * 15)],
            wish=[float('nan')] * 16,
            clamps=[0] * 16,
            policy_version=7 if inside and made.sources[tick] == POLICY else 0,
        )
        action.header.stamp = stamp(ns)
        write('executed_action', 'lwd_msgs/msg/ExecutedAction', action, ns + 3_000)
    for topic, type_name, data, log_ns in made.extra:
        writer.write(f'{root}/{topic}', type_name, data, log_ns)
    return writer.close()


def deliver(
    store: FolderStore, folder: Path, made: HandMade, profile: RobotProfile
) -> EpisodeManifest:
    """Write the bag and put it into the store, manifest last."""
    summary = write_bag(folder / made.episode_id, made, profile)
    manifest = EpisodeManifest(
        episode_id=made.episode_id,
        robot_id=made.robot_id,
        profile=profile.name,
        task=made.task,
        instruction=f'do the {made.task}',
        kind=made.kind,
        seed=3,
        outcome=made.outcome,
        ended_by='simulator',
        started_s=START_NS / 1e9,
        ended_s=made.end_ns / 1e9,
        ended_wall_s=1_735_700_000.0,
        committed_wall_s=1_735_700_001.0,
        files=summary.files,
        topics=summary.topics,
    )
    for file in manifest.files:
        store.put_file(
            summary.directory / file.name, f'{manifest.key_prefix}/{file.name}', file.sha256
        )
    put_manifest(store, manifest)
    return manifest


_deliveries = itertools.count()


def put_manifest(store: FolderStore, manifest: EpisodeManifest, folder: str | None = None) -> str:
    """Put a manifest at its key (or into another folder); a second time it has another write time."""
    import os

    key = f'{folder or manifest.key_prefix}/manifest.json'
    store.put_bytes(manifest.to_json().encode(), key)
    written = 1_800_000_000 + next(_deliveries)
    os.utime(store.root / key, (written, written))
    assert sha256_of(store.root / key)
    return key


@pytest.fixture(scope='session')
def profile() -> RobotProfile:
    return load_profile('g1_laptop')


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / 'store')


@pytest.fixture
def hand_made() -> type[HandMade]:
    return HandMade


@pytest.fixture
def send(
    tmp_path: Path, store: FolderStore, profile: RobotProfile
) -> Callable[[HandMade], EpisodeManifest]:
    """Deliver a hand-made episode into `store`."""
    return lambda made: deliver(store, tmp_path / 'bags', made, profile)


@pytest.fixture
def resend() -> Callable[..., str]:
    """Deliver a manifest again, with another write time."""
    return put_manifest


@pytest.fixture
def unsimulated(tmp_path: Path) -> Path:
    """A profile whose control rate the simulator cannot keep."""
    shipped = Path(str(lwd_policy_node.profile.__file__)).parent / 'robots' / 'g1_laptop.yaml'
    path = tmp_path / 'unsimulated.yaml'
    text = shipped.read_text()
    assert 'control_rate_hz: 30.0' in text
    path.write_text(text.replace('control_rate_hz: 30.0', 'control_rate_hz: 50.0'))
    return path


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The inodes of all files and folders that were flushed to the disk during the test."""
    inodes: set[int] = set()
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        inodes.add(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, 'fsync', noted)
    return inodes
