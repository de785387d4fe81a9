"""The real nodes over real DDS: episodes in, bags in the store out, whatever is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from lwd_recorder.bag import bag_topics, read_bag
from lwd_recorder.manifest import EpisodeManifest
from lwd_recorder.recording.cdr import stamp_ns
from lwd_recorder.spool import Spool, State
from mcap.reader import make_reader
from recorded_robot import CAMERAS, IMAGE, RobotDriver
from sensor_msgs.msg import Image

from lwd_msgs.msg import Episode

pytestmark = pytest.mark.launch

Start = Callable[..., subprocess.Popen[bytes]]
TOPIC = {camera: f'/g1_01/camera/{camera}/image/compressed' for camera in CAMERAS} | {
    name: f'/g1_01/{name}'
    for name in ('joint_states', 'executed_action', 'sim/state', 'action_chunk')
}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a node in the namespace of the robot, under simulated time."""
    running: list[subprocess.Popen[bytes]] = []

    def start_node(name: str, domain_id: int, *parameters: str) -> subprocess.Popen[bytes]:
        arguments = [part for parameter in parameters for part in ('-p', parameter)]
        log = (tmp_path / f'{name}.{len(running)}.log').open('wb')
        running.append(
            subprocess.Popen(
                [
                    sys.executable, '-m', f'lwd_recorder.nodes.{name}', '--ros-args',
                    '-r', '__ns:=/g1_01', '-r', '/clock:=/g1_01/clock', '-p', 'use_sim_time:=true',
                    *arguments,
                ],
                stdout=log,
                stderr=log,
                env=os.environ | {'ROS_DOMAIN_ID': str(domain_id), 'LWD_HOME': str(tmp_path)},
            )
        )  # fmt: skip
        log.close()
        return running[-1]

    yield start_node
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture
def make_driver() -> Iterator[Callable[[int], RobotDriver]]:
    drivers: list[RobotDriver] = []

    def make(domain_id: int) -> RobotDriver:
        drivers.append(RobotDriver(domain_id))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.close()


def stop(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Ask a node to leave."""
    process.send_signal(signal.SIGTERM)
    leaves(process, tmp_path)


def leaves(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Nodes leave with code 0 and without a traceback."""
    assert process.wait(20) == 0
    for log in tmp_path.glob('*.log'):
        text = log.read_text()
        assert 'Traceback' not in text, text
        assert 'database' not in text, text


def episodes_in(store: Path) -> dict[str, Path]:
    return {path.parent.name: path.parent for path in store.rglob('manifest.json')}


def test_every_message_of_three_episodes_arrives(
    start: Start, make_driver: Callable[[int], RobotDriver], tmp_path: Path
) -> None:
    """3 episodes, 3 bags, 3 manifests in the store, and in each all that was published in it.

    Stopped together, recorder and uploader still deliver the episode that was under way, as aborted.
    """
    driver = make_driver(104)
    recorder = start('recorder_node', 104)
    uploader = start('uploader_node', 104)
    driver.wait_for_recorder()
    assert driver.recording == [''], 'a new recorder says that it records nothing'
    names = ['g1_01-a', 'g1_01-b', 'g1_01-c']
    for name in names:
        driver.begin(name)
        driver.run(90)
        driver.wait_for(lambda name=name: driver.recording[-1] == name, 'acknowledgement')
        driver.end()
    driver.wait_for(lambda: driver.closed[-1:] == names[-1:], 'recorder/closed')
    driver.wait_for(lambda: len(episodes_in(tmp_path / 'store')) == 3, 'delivery')
    driver.wait_for(lambda: driver.backlog[-1] == 0, 'empty backlog')
    driver.begin('g1_01-last')
    driver.run(30)
    uploader.send_signal(signal.SIGINT)
    stop(recorder, tmp_path)
    leaves(uploader, tmp_path)
    last = EpisodeManifest.load(episodes_in(tmp_path / 'store').pop('g1_01-last'))
    assert (last.outcome, last.ended_by) == ('aborted', 'shutdown')
    driver.wait_for(lambda: driver.recording[-1] == '', 'word that nothing is recorded')

    assert driver.closed == names
    found = episodes_in(tmp_path / 'store')
    assert sorted(found) == [*names, 'g1_01-last']
    for name in names:
        folder = found[name]
        manifest = EpisodeManifest.load(folder)
        stamps: dict[str, list[int]] = {}
        for topic, _, data, _ in read_bag(folder):
            stamps.setdefault(topic, []).append(stamp_ns(data))
        for key, published in driver.published[name].items():
            assert set(published) <= set(stamps[TOPIC[key]]), f'{name} {key}'
            assert manifest.topics[TOPIC[key]].max_gap_s <= 0.31
        assert manifest.notes == ()
        assert manifest.policy_versions == (4,)
        assert manifest.takeovers in (1, 2, 3)
        assert manifest.outcome == 'success'
        assert manifest.committed_wall_s - manifest.ended_wall_s < 5.0


def test_killed_recorder_comes_back(
    start: Start, make_driver: Callable[[int], RobotDriver], tmp_path: Path
) -> None:
    """kill -9 in mid-episode: that one is repaired, aborted and asked to end; the next is whole; SIGTERM aborts one."""
    driver = make_driver(105)
    first = start('recorder_node', 105)
    driver.wait_for_recorder()
    driver.begin('g1_01-done')
    driver.run(20)
    driver.end()
    driver.wait_for(lambda: driver.closed == ['g1_01-done'], 'recorder/closed')
    driver.begin('g1_01-killed')
    driver.run(40)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert driver.asked_to_end == []
    again = start('recorder_node', 105)
    driver.wait_for_recorder()
    driver.wait_for(lambda: driver.asked_to_end != [], 'request to end the episode')
    assert driver.asked_to_end == [(Episode.OUTCOME_ABORTED, 'recorder')]
    driver.begin('g1_01-next')
    driver.run(40)
    driver.end()
    driver.wait_for(lambda: driver.closed[-1] == 'g1_01-next', 'recorder/closed')
    driver.begin('g1_01-stopped')
    driver.run(40)
    stop(again, tmp_path)

    spool = Spool(tmp_path / 'robots' / 'g1_01' / 'spool')
    states = {entry.episode_id: entry for entry in spool.entries()}
    assert {name: entry.state for name, entry in states.items()} == {
        'g1_01-done': State.CLOSED,
        'g1_01-killed': State.CLOSED,
        'g1_01-next': State.CLOSED,
        'g1_01-stopped': State.CLOSED,
    }
    killed = EpisodeManifest.load(spool.folder('g1_01-killed'))
    assert (killed.recovered, killed.outcome, killed.ended_by) == (True, 'aborted', 'recovery')
    assert killed.topics['/g1_01/joint_states'].count > 0
    assert len(list(read_bag(spool.folder('g1_01-killed')))) > 0
    stopped = EpisodeManifest.load(spool.folder('g1_01-stopped'))
    assert (stopped.outcome, stopped.ended_by) == ('aborted', 'shutdown')
    assert set(driver.published['g1_01-next']['joint_states']) <= {
        stamp_ns(message.data)
        for message in read_bag(spool.folder('g1_01-next'), ['/g1_01/joint_states'])
    }
    spool.close()


@pytest.mark.parametrize(
    ('name', 'parameter', 'said'),
    [
        ('uploader_node', 'store:=ftp://somewhere', 'is not a store'),
        ('uploader_node', 'drain_s:=3', "'drain_s'"),
        ('uploader_node', 'concurrency:=0', 'concurrency'),
        ('recorder_node', 'spool:=/proc/nothing', '/proc/nothing'),
        ('recorder_node', 'profile:=g2', 'known: g1, g1_laptop'),
        ('recorder_node', 'beat_hz:=25', "'beat_hz'"),
        ('recorder_node', 'beat_hz:=1.0', 'beat_hz'),
        ('recorder_node', 'camera_compression:=lz5', 'none, lz4, zstd'),
    ],
)
def test_wrong_configuration_is_said_in_a_line(
    start: Start, tmp_path: Path, name: str, parameter: str, said: str
) -> None:
    process = start(name, 106, parameter)
    assert process.wait(20) == 2
    text = (tmp_path / f'{name}.0.log').read_text()
    assert said in text
    assert 'Traceback' not in text


def test_the_robots_nodes_are_those_of_its_namespace(
    start: Start, make_driver: Callable[[int], RobotDriver], tmp_path: Path
) -> None:
    """Whatever robot_id says: its nodes' parameters are in the bag."""
    driver = make_driver(217)
    recorder = start('recorder_node', 217, 'robot_id:=lab')
    driver.wait_for(lambda: driver.backlog != [], 'recorder/backlog')
    driver.begin('lab-a')
    driver.wait_for(lambda: driver.recording[-1:] == ['lab-a'], 'acknowledgement')
    driver.run(120)
    driver.end()
    driver.wait_for(lambda: driver.closed == ['lab-a'], 'recorder/closed')
    stop(recorder, tmp_path)
    folder = Spool(tmp_path / 'robots' / 'lab' / 'spool').folder('lab-a')
    with (folder / 'lab-a_0.mcap').open('rb') as file:
        found = {one.name: one.data for one in make_reader(file).iter_attachments()}
    assert '/g1_01/robot_driver' in yaml.safe_load(found['parameters.yaml'])


def test_a_camera_that_stops_is_named_within_two_seconds(
    start: Start, make_driver: Callable[[int], RobotDriver], tmp_path: Path
) -> None:
    """On /diagnostics and in the log while the episode runs, and in the manifest and the bag afterwards."""
    driver = make_driver(107)
    recorder = start('recorder_node', 107)
    driver.wait_for_recorder()
    driver.begin('g1_01-blind')
    driver.run(60)
    level, _ = driver.statuses['g1_01: recorder']
    assert level == DiagnosticStatus.OK
    stopped_ns = driver.now_ns
    while driver.statuses['g1_01: recorder'][0] != DiagnosticStatus.ERROR:
        assert driver.now_ns < stopped_ns + 10 * 10**9
        driver.run(1, without='hand_left')
    assert driver.now_ns - stopped_ns < 2 * 10**9
    _, text = driver.statuses['g1_01: recorder']
    assert 'camera/hand_left/image/compressed stopped' in text
    level, _ = driver.statuses['g1_01: recorder/camera/hand_left/image/compressed']
    assert level == DiagnosticStatus.ERROR
    driver.run(30)
    driver.end()
    driver.wait_for(lambda: driver.closed == ['g1_01-blind'], 'recorder/closed')
    stop(recorder, tmp_path)
    folder = Spool(tmp_path / 'robots' / 'g1_01' / 'spool').folder('g1_01-blind')
    manifest = EpisodeManifest.load(folder)
    stopped, back = manifest.notes
    assert 'hand_left/image/compressed stopped: nothing for 1.' in stopped
    assert 'is back after' in back
    assert manifest.topics[TOPIC['hand_left']].missing >= 9
    assert manifest.topics[TOPIC['hand_right']].missing == 0
    said = b''.join(data for _, _, data, _ in read_bag(folder, ['/diagnostics']))
    assert b'camera/hand_left/image/compressed stopped' in said


def test_bags_hold_the_setup_of_the_robot(
    start: Start, make_driver: Callable[[int], RobotDriver], tmp_path: Path
) -> None:
    """Profile, versions, and the parameters of every node that answers; a raw camera where one is asked for."""
    driver = make_driver(108)
    recorder = start(
        'recorder_node', 108, 'cameras:=[head, camera/hand_left/image_raw]', 'max_file_s:=1.5'
    )
    driver.wait_for(lambda: driver.backlog != [], 'recorder/backlog')
    publisher = driver.node.create_publisher(Image, 'camera/hand_left/image_raw', IMAGE)
    driver.wait_for(lambda: publisher.get_subscription_count() > 0, 'subscription')
    driver.begin('g1_01-a')
    for _ in range(40):
        driver.run(3)
        image = Image(height=2, width=2, encoding='rgb8', step=6, data=bytes(range(12)))
        image.header.stamp = driver.advance()
        publisher.publish(image)
    driver.end()
    driver.wait_for(lambda: driver.closed == ['g1_01-a'], 'recorder/closed')
    stop(recorder, tmp_path)
    folder = Spool(tmp_path / 'robots' / 'g1_01' / 'spool').folder('g1_01-a')
    files = sorted(folder.glob('*.mcap'))
    assert len(files) >= 3
    found: dict[str, bytes] = {}
    for path in files:
        with path.open('rb') as file:
            found |= {one.name: one.data for one in make_reader(file).iter_attachments()}
    assert sorted(found) == ['parameters.yaml', 'robot_profile.yaml', 'versions.json']
    assert yaml.safe_load(found['robot_profile.yaml'])['name'] == 'g1_laptop'
    assert json.loads(found['versions.json'])['packages']['lwd_recorder']
    parameters = yaml.safe_load(found['parameters.yaml'])
    assert parameters['/g1_01/recorder_node']['ros__parameters']['max_file_s'] == 1.5
    assert parameters['/g1_01/robot_driver']['ros__parameters']['use_sim_time'] is False
    types = {topic.name: topic.type_name for topic in bag_topics(folder)}
    assert types['/g1_01/camera/hand_left/image_raw'] == 'sensor_msgs/msg/Image'
    assert types['/g1_01/camera/head/image/compressed'] == 'sensor_msgs/msg/CompressedImage'
    raw = [one.data for one in read_bag(folder, ['/g1_01/camera/hand_left/image_raw'])]
    assert len(raw) == 40
    assert raw[0].endswith(bytes(range(12)))


def test_parameters_of_many_nodes_are_in_the_bag(
    start: Start, make_driver: Callable[[int], RobotDriver], tmp_path: Path
) -> None:
    """As many as a robot runs: each is asked twice, and the recorder lives and has them all."""
    driver = make_driver(109)
    others = [driver.add_node(f'node_{number}') for number in range(16)]
    recorder = start('recorder_node', 109)
    driver.wait_for_recorder()
    driver.begin('g1_01-a')
    driver.run(225)
    driver.end()
    driver.wait_for(lambda: driver.closed == ['g1_01-a'], 'recorder/closed')
    stop(recorder, tmp_path)
    folder = Spool(tmp_path / 'robots' / 'g1_01' / 'spool').folder('g1_01-a')
    with (folder / 'g1_01-a_0.mcap').open('rb') as file:
        found = {one.name: one.data for one in make_reader(file).iter_attachments()}
    parameters = yaml.safe_load(found['parameters.yaml'])
    for name in others:
        assert parameters[f'/g1_01/{name}']['ros__parameters']['use_sim_time'] is False
