"""The live audit names what stops, measures what comes, and counts what does not. No ROS, no wall clock."""

from __future__ import annotations

import pytest
from lwd_recorder.recording import RecordedTopic, robot_topics
from lwd_recorder.recording.audit import LiveAudit, TopicState

S = 1_000_000_000
TOPICS = [RecordedTopic(f'/g1_01/{spec.name}', spec) for spec in robot_topics(['head'])]
NAMES = [topic.spec.name for topic in TOPICS]
CAMERA = NAMES.index('camera/head/image/compressed')
JOINTS = NAMES.index('joint_states')
MODE = NAMES.index('control_mode')


class Robot:
    """Feeds an audit, one clock for robot and wall."""

    def __init__(self) -> None:
        self.audit = LiveAudit(TOPICS, stall_s=1.0)
        self.now_s = 10.0
        self.audit.begin(10 * S, 10.0)
        self.heard: list[str] = []

    def run(self, seconds: float, *topics: int, late_s: float = 0.005) -> None:
        for _ in range(round(seconds * 100)):
            self.now_s = round(self.now_s + 0.01, 3)
            for topic in topics:
                stamp_ns = round(self.now_s * S)
                self.audit.add(topic, stamp_ns, stamp_ns + round(late_s * S), self.now_s)
            for change in self.audit.changes(round(self.now_s * S), self.now_s):
                word = 'stopped' if change.stopped else 'back'
                self.heard.append(f'{change.name} {word}')

    def look(self, topic: int) -> TopicState:
        return self.audit.look(self.now_s)[topic]


def test_a_camera_that_stops_is_named_once_and_so_is_its_return() -> None:
    """Within two seconds of the robot's clock, though every other stream goes on."""
    robot = Robot()
    others = (JOINTS, NAMES.index('executed_action'))
    robot.run(3.0, CAMERA, *others)
    assert robot.heard == []
    robot.run(2.0, *others)
    assert robot.heard == ['camera/head/image/compressed stopped']
    [(name, silent_s)] = robot.audit.stopped()
    assert (name, silent_s) == ('camera/head/image/compressed', pytest.approx(2.0, abs=0.03))
    robot.run(0.1, CAMERA, *others)
    assert robot.heard[1:] == ['camera/head/image/compressed back']
    assert robot.audit.stopped() == []


def test_a_required_stream_that_never_comes_is_named() -> None:
    robot = Robot()
    robot.run(1.5, CAMERA, JOINTS)
    assert robot.heard == ['executed_action stopped']


def test_a_standing_clock_is_no_fault() -> None:
    """A simulator that waits: no time passes on the robot, however long it takes."""
    robot = Robot()
    robot.run(1.0, CAMERA)
    for wall_s in range(20, 60):
        assert robot.audit.changes(round(robot.now_s * S), float(wall_s)) == []


def test_a_clock_that_leaps_is_no_fault_either() -> None:
    """A fast simulator's second passes between two looks: silence takes wall time, too."""
    robot = Robot()
    robot.run(1.0, CAMERA, JOINTS, NAMES.index('executed_action'))
    assert robot.audit.changes(round((robot.now_s + 5) * S), robot.now_s + 0.1) == []


def test_rates_gaps_and_latency_are_measured() -> None:
    robot = Robot()
    robot.run(1.0, CAMERA)
    robot.look(CAMERA)
    robot.run(1.0, CAMERA, late_s=0.105)
    robot.now_s += 0.05
    robot.run(0.5, CAMERA)
    robot.audit.add_lost(CAMERA, 3)
    robot.audit.add_dropped(CAMERA)
    state = robot.look(CAMERA)
    assert state.rate_hz == pytest.approx(150 / 1.55)
    assert state.max_gap_s == pytest.approx(0.06)
    assert (state.missing, state.lost, state.dropped) == (5, 3, 1)
    assert state.latency_s == pytest.approx(0.045, abs=0.001)
    assert state.max_latency_s == pytest.approx(0.105)


def test_events_have_no_rhythm() -> None:
    """A latched mode may be silent for ever, and nothing of it is missing."""
    robot = Robot()
    robot.run(0.2, MODE, JOINTS, CAMERA, NAMES.index('executed_action'))
    robot.run(5.0, JOINTS, CAMERA, NAMES.index('executed_action'))
    robot.run(0.1, MODE, JOINTS, CAMERA, NAMES.index('executed_action'))
    assert robot.heard == []
    assert robot.look(MODE).missing == 0
