"""Publisher and policy_node over real DDS: what a robot takes, what it refuses, and when it swaps."""

from __future__ import annotations

import itertools
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lwd_learner.publish import Publisher
from lwd_policy_node.inference.observation import Observation
from lwd_policy_node.policy import Policy, preset
from lwd_policy_node.weights import ensure_key_pair

from lwd_msgs.msg import Episode

SUPPORT = runpy.run_path(str(Path(__file__).with_name('robot_process.py')))
Robot, ROBOT, PATIENCE_S = SUPPORT['Robot'], SUPPORT['ROBOT'], SUPPORT['PATIENCE_S']
save_standin = SUPPORT['save_standin']
DOMAINS = itertools.count(150)
pytestmark = pytest.mark.launch


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('ROS_DOMAIN_ID', str(next(DOMAINS)))
    ensure_key_pair(tmp_path / 'keys')
    return tmp_path


@pytest.fixture
def robot(home: Path) -> Iterator[Any]:
    made = Robot(home)
    made.launch()
    yield made
    made.close()


@pytest.fixture
def learner(home: Path) -> Iterator[Publisher]:
    with Publisher(home / 'train', home / 'keys' / 'learner.ed25519') as publisher:
        yield publisher


def _publish(learner: Publisher, value: float, **options: Any) -> int:
    path = save_standin(learner.fleet.folder / 'policy.safetensors', value)
    return learner.publish(path, stage='online', step=1, **options)


def _await_event(learner: Publisher, version: int, event: str) -> Any:
    assert learner.fleet.wait_for(version, event, 1, PATIENCE_S), learner.fleet.events()
    return next(e for e in learner.fleet.events() if (e.version, e.event) == (version, event))


def test_weights_reach_the_robot_and_swap_between_episodes(robot: Any, learner: Publisher) -> None:
    """A robot without weights is silent, takes the first at once, later ones at the boundary."""
    name = f'{ROBOT}/policy_node: weights'
    robot.episode('first', Episode.RUNNING)
    robot.await_(lambda: 'no weights yet' in robot.diagnostics.get(name, ''), 'diagnostic')
    assert not robot.chunks

    one = _publish(learner, 0.25)
    loaded = _await_event(learner, one, 'loaded')
    assert loaded.transport == 'service' and loaded.transfer_s > 0
    assert 0 < loaded.delay_s < 10
    chunk = robot.await_chunk(one)
    assert chunk.episode_id == 'first'
    assert list(chunk.joint_names) == list(robot.profile.joint_names)
    assert np.allclose(np.reshape(chunk.actions, (chunk.steps, 16)), 0.25)

    two = _publish(learner, 0.5)
    _await_event(learner, two, 'loaded')
    seen = len(robot.chunks)
    robot.await_(lambda: len(robot.chunks) >= seen + 3, 'chunks after loading')
    assert {c.policy_version for c in robot.chunks} == {one}, 'swapped in mid-episode'
    assert not learner.fleet.wait_for(two, 'active', 1, 0.0)

    robot.episode('first', Episode.ENDED)
    _await_event(learner, two, 'active')
    robot.episode('second', Episode.RUNNING)
    assert robot.await_chunk(two).episode_id == 'second'
    versions = [c.policy_version for c in robot.chunks]
    assert versions == sorted(versions)
    assert robot.stop(signal.SIGINT) == 0


def test_a_foreign_key_is_refused_by_name_and_the_robot_goes_on(
    robot: Any, learner: Publisher, home: Path
) -> None:
    """Weights signed by a key the robot does not trust never move it, and the refusal names it."""
    one = _publish(learner, 0.25)
    robot.episode('first', Episode.RUNNING)
    robot.await_chunk(one)
    foreign = ensure_key_pair(home / 'elsewhere', 'intruder')
    with Publisher(home / 'other', foreign.private_path, node_name='intruder') as intruder:
        for _ in range(2):
            refused_version = _publish(intruder, 0.75)
        event = _await_event(intruder, refused_version, 'refused')
    assert 'unknown key' in event.reason and foreign.key_id in event.reason
    assert f'goes on with version {one}' in event.reason
    seen = len(robot.chunks)
    robot.await_(lambda: len(robot.chunks) >= seen + 2, 'chunks after the refusal')
    assert {c.policy_version for c in robot.chunks} == {one}
    assert robot.stop(signal.SIGTERM) == 0


def test_a_nan_checkpoint_is_refused_and_the_next_good_one_taken(
    robot: Any, learner: Publisher
) -> None:
    """A diverged learner's weights are refused with the tensor's name; the robot stays reachable."""
    one = _publish(learner, 0.25)
    _await_event(learner, one, 'active')
    bad = _publish(learner, float('nan'), check=False)
    event = _await_event(learner, bad, 'refused')
    assert 'non-finite tensor' in event.reason and 'bias' in event.reason
    three = _publish(learner, 0.5)
    _await_event(learner, three, 'active')
    robot.episode('first', Episode.RUNNING)
    robot.await_chunk(three)
    assert {c.policy_version for c in robot.chunks} == {three}


def test_kill_9_brings_back_the_last_good_weights_and_the_episode(robot: Any, home: Path) -> None:
    """A killed policy_node goes on in the same episode with its own weights, learner or not."""
    with Publisher(home / 'train', home / 'keys' / 'learner.ed25519') as learner:
        one = _publish(learner, 0.25)
        robot.episode('first', Episode.RUNNING)
        robot.await_chunk(one)
        two = _publish(learner, 0.5)
        _await_event(learner, two, 'loaded')  # in standby: the episode runs
    robot.stop(signal.SIGKILL)
    robot.chunks.clear()
    robot.launch()
    chunk = robot.await_chunk(one)
    assert chunk.episode_id == 'first'
    assert np.allclose(chunk.actions, 0.25)

    with Publisher(home / 'train', home / 'keys' / 'learner.ed25519') as learner:
        robot.episode('first', Episode.ENDED)
        _await_event(learner, two, 'active')  # announced again by the restarted learner
        assert _publish(learner, 0.75) == two + 1


def test_weights_that_fail_in_use_are_gone_back_from(robot: Any, learner: Publisher) -> None:
    """Weights that pass every check and then fail on real observations are undone by the robot."""
    one = _publish(learner, 0.25)
    _await_event(learner, one, 'active')
    two = _publish(learner, 50.0)
    _await_event(learner, two, 'active')
    robot.episode('first', Episode.RUNNING)
    event = _await_event(learner, two, 'rolled_back')
    assert 'absurd' in event.reason and f'went back to version {one}' in event.reason
    robot.await_chunk(one)


def test_the_newest_of_several_wins_and_a_cut_is_survived(robot: Any, home: Path) -> None:
    """A learner that goes away in mid-pull is waited for; then the newest version is taken."""
    path = home / 'policy.safetensors'

    def publish(learner: Publisher, value: float) -> int:
        save_standin(path, value, extra_values=12_000_000)
        return learner.publish(path, stage='sft', step=1)

    key = home / 'keys' / 'learner.ed25519'
    under_way = threading.Event()
    with Publisher(home / 'train', key) as learner:
        bytes_of = learner._archive.bytes_of

        def note(version: int, delta: bool = False) -> Any:
            under_way.set()
            return bytes_of(version, delta)

        learner._archive.bytes_of = note  # type: ignore[method-assign]
        publish(learner, 0.25)
        assert under_way.wait(PATIENCE_S)
    with Publisher(home / 'train', key) as learner:
        publish(learner, 0.5)
        three = publish(learner, 0.75)
        _await_event(learner, three, 'active')
        assert not [e for e in learner.fleet.events() if e.event == 'refused']
    robot.episode('first', Episode.RUNNING)
    assert np.allclose(robot.await_chunk(three).actions, 0.75)


def test_node_and_in_process_inference_agree(home: Path) -> None:
    """The real policy, published by the real command, gives over DDS what it gives in process."""
    made = Robot(home)
    torch.manual_seed(0)
    policy = Policy(preset('tiny', made.profile))
    policy.sentences.remember([SUPPORT['INSTRUCTION']], torch.randn(1, 384))
    path = home / 'policy.safetensors'
    policy.save(path)
    made.launch(('-m', 'lwd_policy_node.nodes.policy_node'))
    made.episode('first', Episode.RUNNING)
    publish = [
        sys.executable, '-m', 'lwd_learner.publish.publish_command', str(path),
        '--run-dir', str(home / 'train'), '--key', str(home / 'keys' / 'learner.ed25519'),
        '--once-loaded-by', '1', '--timeout-s', str(PATIENCE_S),
    ]  # fmt: skip
    try:
        assert subprocess.run(publish, timeout=2 * PATIENCE_S, check=False).returncode == 0
        chunk = made.await_(lambda: made.chunks and made.chunks[0], 'chunk')
        assert made.stop(signal.SIGTERM) == 0
    finally:
        made.close()
    images = {camera.name: np.zeros((64, 64, 3), np.uint8) for camera in made.profile.cameras}
    state = np.zeros(len(made.profile.state_columns), np.float32)
    seen = Observation(0, images, state, SUPPORT['INSTRUCTION'])
    alone = Policy.load(path, threads=1).act(seen, seed=chunk.chunk_id)
    assert np.abs(np.reshape(chunk.actions, alone.shape) - alone).max() < 1e-5
