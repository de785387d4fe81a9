"""Everything that a robot must refuse, over the real service; and what comes back after it was away or undone."""

from __future__ import annotations

import itertools
import json
import resource
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rclpy
from lwd_learner.publish import Publisher, fleet_log, publisher, release_commands
from lwd_learner.publish.canary import CanaryPlan, Tally
from lwd_learner.publish.fleet_log import RobotReport
from lwd_policy_node.weights import ensure_key_pair
from lwd_policy_node.weights.wire import manifest_to_message
from rclpy.context import Context
from safetensors.numpy import save_file
from std_srvs.srv import Trigger

from lwd_msgs.msg import Episode

SUPPORT = runpy.run_path(str(Path(__file__).with_name('robot_process.py')))
Robot, ROBOT = SUPPORT['Robot'], SUPPORT['ROBOT']
PATIENCE_S, save_standin = SUPPORT['PATIENCE_S'], SUPPORT['save_standin']
CONFIG_HASH = runpy.run_path(str(SUPPORT['STANDIN']))['CONFIG_HASH']
DOMAINS = itertools.cycle(range(171, 178))

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


def _learner(home: Path, **options: Any) -> Publisher:
    return Publisher(home / 'train', home / 'keys' / 'learner.ed25519', **options)


def _publish(learner: Publisher, value: float, **options: Any) -> int:
    path = save_standin(learner.fleet.folder / 'policy.safetensors', value)
    return learner.publish(path, stage='online', step=1, **options)


def _await_event(learner: Publisher, version: int, event: str) -> Any:
    assert learner.fleet.wait_for(version, event, 1, PATIENCE_S), learner.fleet.events()
    return next(e for e in learner.fleet.events() if (e.version, e.event) == (version, event))


def _truncated(data: bytearray) -> bytearray:
    return data[:-1]


def _bit_flipped(data: bytearray) -> bytearray:
    data[-1] ^= 1
    return data


def _gone(data: bytearray) -> bytearray:
    raise LookupError('it made room for newer ones')


def _serve_spoilt(learner: Publisher, spoil: Callable[[bytearray], bytearray]) -> int:
    """Publish good weights, and send other bytes."""
    archive = learner._archive
    original = archive.bytes_of
    archive.bytes_of = lambda *which: spoil(bytearray(original(*which)))  # type: ignore
    try:
        version = _publish(learner, 0.9)
        _await_event(learner, version, 'refused')
        return version
    finally:
        del archive.bytes_of


def _publish_tensors(
    learner: Publisher,
    shape: tuple[int, ...],
    profile: str = '',
    *,
    name: str = 'bias',
    config_hash: str = CONFIG_HASH,
) -> int:
    path = learner.fleet.folder / 'other.safetensors'
    metadata = {'lwd.config_hash': config_hash, 'lwd.config': json.dumps({'profile': profile})}
    save_file({name: np.zeros(shape, np.float32)}, path, metadata)
    return learner.publish(path, stage='online', step=1)


def _announce(learner: Publisher, manifest: Any) -> int:
    """Announce a manifest as it is; return its version."""
    learner._announcement.publish(manifest_to_message(manifest))
    return int(manifest.version)


def test_whatever_must_be_refused_is_and_the_robot_goes_on(robot: Any, home: Path) -> None:
    """Each refusal names its reason and the version that goes on; chunks of that version keep coming."""
    with _learner(home) as learner:
        first = _publish(learner, 0.25)
        replayed = learner.newest
        one = _publish(learner, 0.3)
        _await_event(learner, one, 'active')
        robot.episode('first', Episode.RUNNING)
        robot.await_chunk(one)

        def refused(version: int, *words: str) -> None:
            reason = _await_event(learner, version, 'refused').reason
            for word in (*words, f'goes on with version {one}'):
                assert word in reason
            seen = len(robot.chunks)
            robot.await_(lambda: len(robot.chunks) > seen, f'chunk after {words[0]}')
            assert robot.chunks[-1].policy_version == one

        unsigned = replace(learner.newest, version=one + 50, key_id='', signature=b'')
        refused(_announce(learner, unsigned), 'unknown key', '(none)')
        changed = replace(learner.newest, version=one + 51)
        refused(_announce(learner, changed), 'bad signature', 'changed after signing')
        refused(_serve_spoilt(learner, _gone), 'unreachable', 'made room')
        refused(_serve_spoilt(learner, _truncated), 'wrong size')
        refused(_serve_spoilt(learner, _bit_flipped), 'hash mismatch')
        refused(_publish_tensors(learner, (12,)), 'shape mismatch', 'bias')
        refused(_publish_tensors(learner, (16,), 'humanoid'), 'another robot', 'humanoid')
        refused(_publish(learner, float('nan'), check=False), 'non-finite tensor', 'bias')
        refused(_publish(learner, 1e5), 'unlike its statistics', 'diverged')
        other = {
            'name': 'scale',
            'config_hash': 'd1' * 32,
        }  # shapes cannot be compared: it must load
        refused(_publish_tensors(learner, (16,), **other), 'load failed', 'bias')
        # the stand-in fails on observations of a robot, and only on those
        refused(_publish(learner, 50.0), 'smoke inference failed', 'absurd')
        assert replayed is not None and replayed.version == first
        refused(_announce(learner, replayed), 'not newer')
        foreign = ensure_key_pair(home / 'elsewhere', 'intruder')
        with Publisher(home / 'other', foreign.private_path, node_name='intruder') as intruder:
            for _ in range(12):  # beyond the versions heard so far
                version = _publish(intruder, 0.75)
            reason = _await_event(intruder, version, 'refused').reason
        assert 'unknown key' in reason and f'goes on with version {one}' in reason
        good = _publish(learner, 0.5)
        _await_event(learner, good, 'loaded')
        robot.episode('first', Episode.ENDED)
        _await_event(learner, good, 'active')


def test_a_pinned_fleet_takes_neither_newer_nor_older(robot: Any, home: Path) -> None:
    """Newer versions wait with the learner; an older one is refused, after a restart of the robot too."""
    with _learner(home) as learner:
        one = _publish(learner, 0.3)
        old = learner.newest
        two = _publish(learner, 0.5)
        _await_event(learner, two, 'active')
        robot.episode('first', Episode.RUNNING)
        robot.await_chunk(two)
        learner.releases.pin()
        floor = home / 'robots' / ROBOT / 'weights' / 'floor'
        robot.await_(floor.is_file, 'pin on the disk of the robot')
        waiting = _publish(learner, 0.6)
        assert learner.releases.state().waiting == waiting
        robot.stop(signal.SIGKILL)
        robot.launch()
        robot.chunks.clear()
        robot.await_chunk(two)
        assert old is not None
        reason = _await_event(learner, _announce(learner, old), 'refused').reason
        assert f'older than pinned: version {one} is older than version {two}' in reason
        learner.releases.unpin()  # as the command does: the learner sees it at its next look
        _await_event(learner, waiting, 'loaded')


def test_a_robot_of_one_configuration_refuses_every_other(home: Path) -> None:
    """With the parameter config_hash weights of another architecture are refused before a byte is pulled."""
    robot = Robot(home)
    robot.launch(config_hash=CONFIG_HASH)
    try:
        with _learner(home) as learner:
            one = _publish(learner, 0.3)
            _await_event(learner, one, 'active')
            foreign = _publish_tensors(learner, (16,), config_hash='d1' * 32)
            reason = _await_event(learner, foreign, 'refused').reason
            assert 'other config_hash' in reason and f'goes on with version {one}' in reason
    finally:
        robot.close()


def test_weights_damaged_on_disk_give_way_to_older_ones_and_are_pulled_again(
    robot: Any, home: Path
) -> None:
    """A robot that starts with a damaged file goes back by itself, says so, and mends it when it can."""
    with _learner(home) as learner:
        one = _publish(learner, 0.25)
        _await_event(learner, one, 'active')
        two = _publish(learner, 0.5)
        _await_event(learner, two, 'active')
    assert robot.stop(signal.SIGTERM) == 0
    file = home / 'robots' / ROBOT / 'weights' / f'v{two:06d}' / 'policy.safetensors'
    file.write_bytes(_bit_flipped(bytearray(file.read_bytes())))
    robot.launch()
    robot.episode('first', Episode.RUNNING)
    assert np.allclose(robot.await_chunk(one).actions, 0.25)
    with _learner(home) as learner:
        assert _await_event(learner, two, 'loaded').transport == 'service'
        robot.episode('first', Episode.ENDED)
        _await_event(learner, two, 'active')
        robot.episode('second', Episode.RUNNING)
        assert np.allclose(robot.await_chunk(two).actions, 0.5)


def test_a_robot_that_was_off_takes_the_newest_only(robot: Any, home: Path) -> None:
    """Three publications, and a restart of the learner, while it is off: none but the last is pulled."""
    with _learner(home) as learner:
        one = _publish(learner, 0.25)
        _await_event(learner, one, 'active')
        assert robot.stop(signal.SIGTERM) == 0
        _publish(learner, 0.3)
        three = _publish(learner, 0.35)
    with _learner(home) as learner:
        four = _publish(learner, 0.4)
        assert (three, four) == (one + 2, one + 3), 'the learner goes on counting'
        robot.launch()
        _await_event(learner, four, 'active')
        loaded = {e.version for e in learner.fleet.events() if e.event == 'loaded'}
        assert loaded == {four}
    kept = sorted(path.name for path in (home / 'robots' / ROBOT / 'weights').glob('v*'))
    assert kept == [f'v{one:06d}', f'v{four:06d}']


def test_an_operator_takes_a_robot_back(robot: Any, home: Path) -> None:
    """weights/roll_back: the former version is in use again, and the one left is not taken again."""
    with _learner(home) as learner:
        one = _publish(learner, 0.25)
        _await_event(learner, one, 'active')
        assert not _call_roll_back().success, 'there is nothing older'
        two = _publish(learner, 0.5)
        _await_event(learner, two, 'active')
        answer = _call_roll_back()
        assert answer.success and answer.message == f'going back from version {two} to {one}'
        event = _await_event(learner, two, 'rolled_back')
        assert 'the operator asked for it' in event.reason
        robot.episode('first', Episode.RUNNING)
        robot.await_chunk(one)
    with _learner(home) as learner:  # announces version two again
        assert 'went back' in _await_event(learner, two, 'refused').reason


def test_a_fleet_command_takes_all_robots_back_without_a_transfer(robot: Any, home: Path) -> None:
    """`rollback` beside the running learner: the old bytes under a new number come from the robot's disk."""
    with _learner(home) as learner:
        one = _publish(learner, 0.25)
        _await_event(learner, one, 'active')
        _await_event(learner, _publish(learner, 0.5), 'active')
        command = [
            sys.executable, '-c',
            'import sys; from lwd_learner.publish.release_commands import rollback; sys.exit(rollback())',
            '--run-dir', str(home / 'train'), '--key', str(home / 'keys' / 'learner.ed25519'), '--json',
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        version = json.loads(done.stdout)['stable']
        event = _await_event(learner, version, 'loaded')
        assert event.transport == 'kept'
        _await_event(learner, version, 'active')
        robot.episode('first', Episode.RUNNING)
        assert np.allclose(robot.await_chunk(version).actions, 0.25)


def test_a_trial_reaches_the_other_robots_when_it_is_not_worse(robot: Any, home: Path) -> None:
    """A robot that is not named waits; once the named ones did well it takes the version too."""
    counts: dict[int, Tally] = {}
    plan = CanaryPlan(share=0.5, episodes=5)
    with _learner(
        home, canary=plan, hear_s=0.0, tally=lambda version: counts.get(version, Tally())
    ) as learner:
        one = _publish(learner, 0.25)
        _await_event(learner, one, 'active')
        fields: dict[str, Any] = dict.fromkeys(RobotReport.__slots__, 0)
        for name in ('a_robot', ROBOT):
            learner.fleet.add_report(RobotReport(**fields | {'robot_id': name}))
        two = _publish(learner, 0.5)
        assert learner.releases.state().robots == ('a_robot',)
        counts |= {one: Tally(20, 12), two: Tally(4, 4)}
        three = _publish(learner, 0.6)
        assert learner.releases.state().waiting == three
        counts[two] = Tally(5, 5)
        _await_event(learner, two, 'active')
        assert not [e for e in learner.fleet.events() if e.event == 'refused']


def test_a_trial_that_is_worse_is_taken_back(robot: Any, home: Path) -> None:
    """The robot that tried it runs the bytes of the others again, under a new number, without a transfer."""
    counts: dict[int, Tally] = {}
    plan = CanaryPlan(share=0.5, episodes=20)
    with _learner(
        home, canary=plan, hear_s=0.0, tally=lambda version: counts.get(version, Tally())
    ) as learner:
        one = _publish(learner, 0.25)
        _await_event(learner, one, 'active')
        fields: dict[str, Any] = dict.fromkeys(RobotReport.__slots__, 0)
        for name in (ROBOT, 'z_robot'):
            learner.fleet.add_report(RobotReport(**fields | {'robot_id': name}))
        two = _publish(learner, 0.5)
        _await_event(learner, two, 'active')
        counts |= {one: Tally(20, 18), two: Tally(8, 0)}
        assert _await_event(learner, two + 1, 'loaded').transport == 'kept'
        _await_event(learner, two + 1, 'active')
        assert learner.releases.state().trial == 0
        robot.episode('first', Episode.RUNNING)
        assert np.allclose(robot.await_chunk(two + 1).actions, 0.25)


def test_a_trial_does_not_wait_for_a_robot_that_left(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fleet would get no version any more."""
    monkeypatch.setattr(publisher, 'GONE_S', 2.0)
    with _learner(home, canary=CanaryPlan(share=0.5), hear_s=0.0) as learner:
        fields: dict[str, Any] = dict.fromkeys(RobotReport.__slots__, 0)

        def hear(robot_id: str) -> None:
            learner.fleet.add_report(RobotReport(**fields | {'robot_id': robot_id}))

        _publish(learner, 0.25)
        hear('a_robot')
        hear('b_robot')
        two = _publish(learner, 0.5)
        state = learner.releases.state()
        assert (state.trial, state.robots) == (two, ('a_robot',))
        deadline_s = time.monotonic() + PATIENCE_S
        while learner.releases.state().trial:
            assert time.monotonic() < deadline_s
            hear('b_robot')
            time.sleep(0.1)
        assert learner.releases.state().stable == two + 1


class Fleet:
    """Robots that are heard by a learner whose clock stands still in between."""

    def __init__(self, learner: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
        self.learner = learner
        self.now_s = time.monotonic() + 1000.0
        monkeypatch.setattr(fleet_log, 'time', SimpleNamespace(monotonic=lambda: self.now_s))

    def hear(self, *robots: str, for_s: float = 0.0) -> None:
        """Now, and every second for so long; then the learner looks."""
        end_s = self.now_s + for_s
        self._report(*robots)
        while self.now_s < end_s:
            self.now_s += 1.0
            self._report(*robots)
        with self.learner._publishing:
            self.learner._look()

    def _report(self, *robots: str) -> None:
        fields: dict[str, Any] = dict.fromkeys(RobotReport.__slots__, 0)
        for name in robots:
            self.learner.fleet.add_report(RobotReport(**fields | {'robot_id': name}))


def test_what_waits_overnight_is_tried_out_though_robots_come_one_after_another(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first that is heard in the morning is not the fleet; nor is one while others were heard before."""
    with _learner(home, canary=CanaryPlan(share=0.5)) as learner:
        fleet = Fleet(learner, monkeypatch)
        one = _publish(learner, 0.25)
        two = _publish(learner, 0.5)
        fleet.hear('a')
        assert learner.releases.state().waiting == two
        fleet.hear('a', 'b', for_s=5.0)
        assert learner.releases.state().waiting == two
        fleet.hear('a', 'b', for_s=5.0)
        assert learner.releases.state().robots == ('a',)
        learner.releases.promote(two)
        fleet.now_s += 36_000.0
        three = _publish(learner, 0.6)
        fleet.hear('b', for_s=60.0)
        assert learner.releases.state().waiting == three
        fleet.hear('a', 'b')
        state = learner.releases.state()
        assert (state.stable, state.trial, state.robots) == (two, three, ('a',)) and one < two


def test_what_is_published_at_the_first_robot_s_report_waits_for_the_others(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumed run publishes what it owes at once. Of a fleet of one there is nobody to wait for."""
    with _learner(home, canary=CanaryPlan(share=0.5)) as learner:
        fleet = Fleet(learner, monkeypatch)
        _publish(learner, 0.25)
        fleet.hear('a')
        two = _publish(learner, 0.5)
        assert learner.releases.state().waiting == two
        fleet.hear('a', for_s=10.0)
        assert learner.releases.state().stable == two
        fleet.hear('a', 'b')
        three = _publish(learner, 0.6)
        assert learner.releases.state().trial == three, 'long heard: chosen at once'


def test_a_trial_is_not_taken_back_at_the_first_report_of_the_morning(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its robots may come up after another one; they are away once others have worked without them."""
    with _learner(home, canary=CanaryPlan(share=0.5)) as learner:
        fleet = Fleet(learner, monkeypatch)
        _publish(learner, 0.25)
        fleet.hear('a', 'b', for_s=10.0)
        two = _publish(learner, 0.5)
        fleet.now_s += 36_000.0
        fleet.hear('b', for_s=200.0)
        assert learner.releases.state().trial == two
        fleet.hear('b', for_s=100.0)
        assert learner.releases.state().stable == two + 1


def test_what_waits_is_tried_out_once_no_trial_and_no_pin_holds_it(home: Path) -> None:
    """Beside a running learner: `promote`, `pin` and `pin --off` neither strand a version nor skip the plan."""
    place = ['--run-dir', str(home / 'train'), '--key', str(home / 'keys' / 'learner.ed25519')]
    counts: dict[int, Tally] = {}
    plan = CanaryPlan(share=0.5, episodes=5)
    with _learner(
        home, canary=plan, hear_s=0.0, tally=lambda version: counts.get(version, Tally())
    ) as learner:

        def await_state(**expected: Any) -> None:
            deadline_s = time.monotonic() + PATIENCE_S
            while any(
                getattr(learner.releases.state(), name) != value
                for name, value in expected.items()
            ):
                assert time.monotonic() < deadline_s, learner.releases.state()
                time.sleep(0.05)

        fields: dict[str, Any] = dict.fromkeys(RobotReport.__slots__, 0)
        for name in ('a_robot', 'b_robot'):
            learner.fleet.add_report(RobotReport(**fields | {'robot_id': name}))
        _, two, three = (_publish(learner, value) for value in (0.25, 0.5, 0.6))
        assert release_commands.promote([*place, str(two)]) == 0
        await_state(stable=two, trial=three, robots=('a_robot',), waiting=0)
        assert release_commands.pin(place) == 0
        counts |= {three: Tally(5, 5), two: Tally(5, 0)}
        learner._look()
        await_state(stable=three + 1, pinned=three + 1, trial=0, waiting=three)
        assert release_commands.pin([*place, '--off']) == 0
        await_state(stable=three + 1, pinned=0, trial=three + 2, robots=('a_robot',), waiting=0)
        assert learner.releases.offered()[0].sha256 != learner.releases.offered()[1].sha256


def test_a_full_disk_costs_one_version(robot: Any, home: Path) -> None:
    """The client says why it was not taken, lives, and takes the next."""
    with _learner(home) as learner:
        one = _publish(learner, 0.25)
        _await_event(learner, one, 'active')
        before = resource.prlimit(robot.process.pid, resource.RLIMIT_FSIZE, (0, -1))
        two = _publish(learner, 0.5)
        refused = _await_event(learner, two, 'refused')
        assert 'File too large' in refused.reason
        resource.prlimit(robot.process.pid, resource.RLIMIT_FSIZE, before)
        three = _publish(learner, 0.6)
        _await_event(learner, three, 'active')


def _call_roll_back() -> Any:
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node('operator', namespace=f'/{ROBOT}', context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        client = node.create_client(Trigger, 'weights/roll_back')
        assert client.wait_for_service(PATIENCE_S)
        answer = client.call_async(Trigger.Request())
        executor.spin_until_future_complete(answer, PATIENCE_S)
        return answer.result()
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
