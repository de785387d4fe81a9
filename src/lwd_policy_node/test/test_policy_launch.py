"""arbiter_node and policy_node as processes over DDS: what happens to the robot when the policy's side fails.

Every test ends with the same question to the `executed_action` stream: is a tick missing, did a
human's frame go lost, does a frame not say where it came from?
"""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from diagnostic_msgs.msg import DiagnosticArray
from lwd_policy_node.control.motion import EARLY
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.wire import seconds
from lwd_policy_node.profile import load_profile
from lwd_policy_node.weights import Manifest, WeightsStore, ensure_key_pair
from lwd_policy_node.weights.checks import file_sha256
from lwd_policy_node.weights.keys import load_private_key
from lwd_policy_node.weights.wire import manifest_to_message
from sensor_msgs.msg import CompressedImage, JointState
from visualization_msgs.msg import MarkerArray

from lwd_msgs.msg import ControlMode, Episode, ExecutedAction, TeleopCommand, WeightsManifest

pytestmark = pytest.mark.launch
STANDIN = run_path(str(Path(__file__).with_name('standin_policy.py')))
PROFILE = load_profile('g1_laptop')
DT = PROFILE.control_period_s
NAMES = list(PROFILE.joint_names)
HOLD, POLICY, HUMAN, ESTOP = range(4)
TARGET = {
    1: 0.2,
    2: 0.3,
    3: float(STANDIN['BUSY']),
}  # where the stand-in weights of a version send every joint, rad
JPEG = simplejpeg.encode_jpeg(np.zeros((64, 64, 3), np.uint8))


class Rollout:
    """One robot in an episode; cameras and human act at every joint state, while the bench spins."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.home = Path(bench.environment['LWD_HOME'])
        self.key = load_private_key(ensure_key_pair(self.home / 'keys').private_path)
        store = WeightsStore(self.home / 'robots' / 'g1_01' / 'weights')
        first = self.weights(1)
        store.admit(first, Path(first.uris[0].removeprefix('file://')))
        store.set_active(1)
        node = bench.node
        self.executed = bench.collect(ExecutedAction, 'executed_action', qos.reliable(5000))
        self.modes = bench.collect(ControlMode, 'control_mode', qos.CONTROL_MODE)
        self.markers = bench.collect(MarkerArray, 'policy/markers', qos.MARKERS)
        self.faults: dict[str, str] = {}
        node.create_subscription(
            DiagnosticArray, '/diagnostics', self.on_diagnostics, qos.DIAGNOSTICS
        )
        self.episode_out = node.create_publisher(Episode, 'episode', qos.EPISODE)
        self.teleop_out = node.create_publisher(
            TeleopCommand, 'teleop/command', qos.teleop_writer(0.5)
        )
        self.weights_out = node.create_publisher(WeightsManifest, '/lwd/weights', qos.WEIGHTS)
        self.cameras = {
            camera.name: node.create_publisher(CompressedImage, camera.topic, qos.CAMERA)
            for camera in PROFILE.cameras
        }
        self.ticks = 0
        self.dead_cameras: set[str] = set()
        self.human = False
        self.wishes: list[float] = []  # of the first joint, one for each command of the human
        self.sent_s: list[float] = []  # wall time of each
        node.create_subscription(JointState, 'joint_states', self.on_state, qos.JOINT_STATES)
        bench.start('arbiter_node', profile='g1_laptop', episode_timeout_s=0.0)
        bench.start('echo_robot')
        self.policy = self.start_policy()
        bench.wait('the arbiter', lambda: any(m.reason == 'no_episode' for m in self.modes))
        self.episode('e1')

    def start_policy(self) -> Any:
        return self.bench.start('standin_policy', transport='uri', late_after_s=0.3)

    def weights(self, version: int) -> Manifest:
        path = STANDIN['save_standin'](self.home / f'{version}.safetensors', TARGET[version])
        return Manifest(
            published_ns=time.time_ns(),
            version=version,
            parent=version - 1,
            stage='sft',
            step=0,
            config_hash=STANDIN['CONFIG_HASH'],
            replay_version='',
            size_bytes=path.stat().st_size,
            sha256=file_sha256(path),
            uris=(f'file://{path}',),
        ).signed(self.key)

    def episode(self, name: str, state: int = Episode.RUNNING) -> None:
        now = self.bench.node.get_clock().now().to_msg()
        message = Episode(state=state, episode_id=name, kind='rollout', started=now)
        message.header.stamp = now
        message.instruction = 'put the red can on the shelf'
        self.episode_out.publish(message)

    def on_diagnostics(self, message: DiagnosticArray) -> None:
        self.faults |= {s.name: s.message for s in message.status}

    def on_state(self, message: JointState) -> None:
        self.ticks += 1
        if self.ticks % 3 == 0:
            for name, out in self.cameras.items():
                if name not in self.dead_cameras:
                    image = CompressedImage(header=message.header, format='jpeg', data=JPEG)
                    out.publish(image)
        if self.human:
            self.wishes.append(round(-1.0 + 0.001 * len(self.wishes), 3))  # each its own
            self.sent_s.append(time.monotonic())
            position = PROFILE.home.copy()
            position[0] = self.wishes[-1]
            self.teleop_out.publish(
                TeleopCommand(
                    header=message.header,
                    deadman=True,
                    joint_names=NAMES,
                    position=position,
                    reason='operator',
                )
            )

    def release(self) -> None:
        """The human lets go."""
        self.human = False
        now = self.bench.node.get_clock().now().to_msg()
        command = TeleopCommand(deadman=False)
        command.header.stamp = now
        self.teleop_out.publish(command)

    def wait_source(self, source: int, reason: str | None = None) -> ExecutedAction:
        """The first executed action from now on with this source and reason."""
        start = len(self.executed)

        def found() -> list[ExecutedAction]:
            new = self.executed[start:]
            return [e for e in new if e.source == source and reason in (None, e.reason)]

        self.bench.wait(f'source {source} ({reason})', lambda: bool(found()), 40.0)
        return found()[0]

    def ticks_of(self, episode: str, source: int) -> list[int]:
        """Ticks of an episode that belong to a source."""
        return [e.tick for e in self.executed if (e.episode_id, e.source) == (episode, source)]

    def let_a_human_work(self, ticks: int = 10) -> None:
        """A takeover of some ticks, and the hand-back."""
        self.human = True
        self.wait_source(HUMAN)
        sent = len(self.wishes)
        self.bench.wait('the human to work', lambda: len(self.wishes) >= sent + ticks)
        self.release()
        self.wait_source(HOLD)

    def assert_stream_is_sound(self) -> None:
        """No tick is missing, no human frame lost, no jump, no frame without provenance."""
        for name in {e.episode_id for e in self.executed}:
            frames = [e for e in self.executed if e.episode_id == name]
            assert (np.diff([e.tick for e in frames]) == 1).all()
            speed = np.abs(np.diff([e.position for e in frames], axis=0)) / DT
            assert (speed <= PROFILE.limits('velocity') + 1e-6).all()
        given_back_s = 0.0
        before: ExecutedAction | None = None
        for e in self.executed:
            assert list(e.joint_names) == NAMES and e.episode_id
            if e.source == POLICY:
                assert e.policy_version in TARGET and e.chunk_id > 0 and not e.reason
                assert set(e.wish) == {np.float64(np.float32(TARGET[e.policy_version]))}
                made_s = seconds(e.header.stamp) - e.observation_age_s
                assert made_s >= given_back_s - 1e-6, 'a chunk from before the hand-back'
            else:
                assert (e.policy_version, e.chunk_id) == (0, 0) and e.reason
            if before is not None and before.source == HUMAN != e.source:
                given_back_s = seconds(e.header.stamp)
            before = e
        self.assert_no_human_frame_is_lost()

    def assert_no_jump(self) -> None:
        """No joint's speed changes faster than its limit; a tick before its time lasted shorter."""
        lasted_s = np.diff([seconds(e.header.stamp) for e in self.executed])
        lasted_s[lasted_s > EARLY * DT] = DT
        speed = np.diff([e.position for e in self.executed], axis=0) / lasted_s[:, None]
        change = np.abs(np.diff(speed, axis=0)) / DT
        assert (
            change <= PROFILE.limits('acceleration') * 1.001
        ).all()  # stamps in s are 0.2 us coarse

    def assert_no_human_frame_is_lost(self) -> None:
        """In each spell only commands that were sent are executed, in order, and none is passed
        over but by a newer one of the same tick.
        """
        human = [e.wish[0] for e in self.executed if e.source == HUMAN]
        places = [self.wishes.index(round(wish, 3)) for wish in human]
        assert places == sorted(places)
        for place, following in itertools.pairwise(places):
            if (
                following > place + 1
            ):  # two clocks of one rate: two commands may fall into one tick
                assert self.sent_s[following] - self.sent_s[place + 1] < 1.5 * DT


@pytest.fixture
def start(make_bench: Callable[..., Any]) -> Iterator[Callable[[int], Rollout]]:
    yield lambda domain_id: Rollout(make_bench(domain_id, 'g1_01'))


def test_takeover_in_mid_chunk_and_hand_back(start: Callable[[int], Rollout]) -> None:
    """A human interrupts a running chunk; after the hand-back only a newer observation counts."""
    rollout = start(116)
    rollout.wait_source(POLICY)
    rollout.let_a_human_work()
    back = rollout.wait_source(POLICY)
    assert back.policy_version == 1
    rollout.assert_stream_is_sound()
    rollout.bench.wait(
        'the planned paths in RViz',
        lambda: (
            {(m.ns, m.id, len(m.points)) for array in rollout.markers for m in array.markers}
            >= {('plan', 0, PROFILE.horizon), ('plan', 1, PROFILE.horizon)}
        ),
    )
    rollout.bench.wait(
        'the mode in RViz',
        lambda: any(
            m.text.startswith('g1_01: policy, v1\nput the red can')
            for array in rollout.markers
            for m in array.markers
        ),
    )


@pytest.mark.parametrize(('number', 'domain_id'), [(signal.SIGSTOP, 129), (signal.SIGKILL, 130)])
def test_a_policy_that_stops_is_held(
    start: Callable[[int], Rollout], number: signal.Signals, domain_id: int
) -> None:
    """Stopped or killed in mid-plan: held within two control periods (and one of margin: the machine may be
    busy), without a jump; a human may work, and the policy may come back.
    """
    rollout = start(domain_id)
    rollout.wait_source(POLICY)
    rollout.bench.wait(
        'a plan with much left to do',
        lambda: (
            (now := rollout.executed[-1]).source == POLICY
            and now.chunk_step < PROFILE.horizon // 2
        ),
    )
    stopped_s = time.time()
    rollout.policy.send_signal(number)
    held = rollout.wait_source(HOLD, 'silent_policy')
    assert seconds(held.header.stamp) - stopped_s <= (2 + 1) * DT
    last = next(e for e in reversed(rollout.executed) if e.source == POLICY)
    assert last.chunk_step < PROFILE.horizon - 1 and held.tick == last.tick + 1
    rollout.assert_no_jump()
    rollout.let_a_human_work()
    if number == signal.SIGKILL:
        rollout.policy = rollout.start_policy()
    else:
        rollout.policy.send_signal(signal.SIGCONT)
    back = rollout.wait_source(POLICY)
    assert back.observation_age_s <= PROFILE.horizon * DT
    rollout.assert_stream_is_sound()


def test_a_policy_that_is_busy_is_not_taken_for_a_dead_one(
    start: Callable[[int], Rollout],
) -> None:
    """While its Python is stuck in an inference, the middleware answers for it."""
    rollout = start(117)
    rollout.wait_source(POLICY)
    rollout.weights_out.publish(manifest_to_message(rollout.weights(3)))
    values: dict[str, float] = {}

    def on_diagnostics(message: DiagnosticArray) -> None:
        for status in message.status:
            values.update({v.key: float(v.value) for v in status.values if '_gap_' in v.key})

    rollout.bench.node.create_subscription(
        DiagnosticArray, '/diagnostics', on_diagnostics, qos.DIAGNOSTICS
    )
    name = 'g1_01/policy_node: weights'
    rollout.bench.wait('the weights', lambda: rollout.faults.get(name) == 'ok')
    rollout.episode('e1', Episode.ENDED)
    rollout.bench.wait('the end', lambda: rollout.modes[-1].reason == 'no_episode')
    rollout.episode('e2')
    rollout.bench.wait('the busy policy', lambda: rollout.ticks_of('e2', POLICY))
    rollout.bench.wait('its heartbeat to be late', lambda: values['heartbeat_gap_ms'] > 100.0)
    rollout.bench.wait('ticks', lambda: len(rollout.ticks_of('e2', POLICY)) > 60)
    frames = [e for e in rollout.executed if e.episode_id == 'e2' and e.policy_version == 3]
    first, last = frames[0].tick, frames[-1].tick
    silent = [e for e in rollout.executed if e.reason == 'silent_policy']
    assert not [e for e in silent if first < e.tick < last]
    rollout.assert_stream_is_sound()


def test_a_camera_that_stops_is_held_and_named(start: Callable[[int], Rollout]) -> None:
    """No chunk is made from two old images and a new one; the diagnostic says which camera."""
    rollout = start(131)
    rollout.wait_source(POLICY)
    rollout.dead_cameras.add('hand_left')
    rollout.wait_source(HOLD, 'stale_chunk')
    name = 'g1_01/policy_node: observation'
    rollout.bench.wait(
        'the diagnostic', lambda: 'camera hand_left:' in rollout.faults.get(name, '')
    )
    assert 'camera head' not in rollout.faults[name]
    rollout.let_a_human_work()
    rollout.dead_cameras.clear()
    rollout.wait_source(POLICY)
    rollout.bench.wait('the all-clear', lambda: rollout.faults[name] == 'ok')
    rollout.assert_stream_is_sound()


def test_weights_that_come_during_an_episode_wait_for_its_end(
    start: Callable[[int], Rollout],
) -> None:
    """One episode, one version; a takeover in between changes nothing about that."""
    rollout = start(118)
    rollout.wait_source(POLICY)
    statuses = rollout.bench.collect(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    rollout.weights_out.publish(manifest_to_message(rollout.weights(2)))

    def in_standby() -> bool:
        values = {v.key: v.value for d in statuses for s in d.status for v in s.values}
        return values.get('standby_version') == '2'

    rollout.bench.wait('the weights in standby', in_standby)
    rollout.let_a_human_work()
    rollout.wait_source(POLICY)
    assert {e.policy_version for e in rollout.executed if e.source == POLICY} == {1}
    rollout.episode('e1', Episode.ENDED)
    rollout.bench.wait('the end', lambda: rollout.modes[-1].reason == 'no_episode')
    rollout.episode('e2')
    rollout.bench.wait('the policy', lambda: rollout.ticks_of('e2', POLICY))
    versions = {e.episode_id: set() for e in rollout.executed}
    for e in rollout.executed:
        versions[e.episode_id] |= {e.policy_version} - {0}
    assert versions == {'e1': {1}, 'e2': {2}}
    rollout.assert_stream_is_sound()
