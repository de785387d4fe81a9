"""A robot's publishers in one node: what the recorder listens to, under a clock of its own."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, JointState
from std_msgs.msg import String, UInt32

from lwd_msgs.msg import ActionChunk, ControlMode, Episode, ExecutedAction, SimState
from lwd_msgs.srv import EndEpisode

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
IMAGE = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
CAMERAS = ('head', 'hand_left', 'hand_right')
TICK_NS = 33_333_333
RECORDED = (
    *(f'camera/{camera}/image/compressed' for camera in CAMERAS),
    'joint_states',
    'executed_action',
    'action_chunk',
    'sim/state',
)
NAMES = [f'joint_{i}' for i in range(16)]


class RobotDriver:
    """Publishes episodes tick by tick and remembers what it published in each."""

    def __init__(self, domain_id: int, robot_id: str = 'g1_01') -> None:
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain_id)
        self.node = Node('robot_driver', namespace=f'/{robot_id}', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        make = self.node.create_publisher
        self._clock = make(Clock, 'clock', 10)
        self._cameras = [
            make(CompressedImage, f'camera/{camera}/image/compressed', IMAGE) for camera in CAMERAS
        ]
        self._joints = make(JointState, 'joint_states', 10)
        self._executed = make(ExecutedAction, 'executed_action', 100)
        self._chunk = make(ActionChunk, 'action_chunk', 1)
        self._mode = make(ControlMode, 'control_mode', LATCHED)
        self._state = make(SimState, 'sim/state', 5)
        self._episode = make(Episode, 'episode', LATCHED)
        self._publishers = [
            *self._cameras, self._joints, self._executed, self._chunk, self._mode, self._state,
            self._episode,
        ]  # fmt: skip
        self.closed: list[str] = []
        self.backlog: list[int] = []
        self.recording: list[str] = []
        self.node.create_subscription(
            String, 'recorder/recording', lambda m: self.recording.append(m.data), LATCHED
        )
        self.node.create_subscription(
            String, 'recorder/closed', lambda m: self.closed.append(m.data), LATCHED
        )
        self.node.create_subscription(
            UInt32, 'recorder/backlog', lambda m: self.backlog.append(m.data), LATCHED
        )
        self.asked_to_end: list[tuple[int, str]] = []
        self.node.create_service(EndEpisode, 'episode/end', self._on_end_request)
        self.heard: dict[str, float] = {}
        self.statuses: dict[str, tuple[bytes, str]] = {}
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self.robot_id = robot_id
        self.now_ns = 5_000_000_000
        self.tick = 0
        self.published: dict[str, dict[str, list[int]]] = {}
        self._running = Episode()

    def add_node(self, name: str) -> str:
        """Put another of the robot's nodes beside this one; it has the parameters that every node has."""
        other = Node(name, namespace=f'/{self.robot_id}', context=self._context)
        self._executor.add_node(other)
        return name

    def close(self) -> None:
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def wait_for(self, condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
        """Advance the robot's clock, nothing else, until a condition holds."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline_s, f'no {what} in {timeout_s} s'
            self.advance()
            self._executor.spin_once(timeout_sec=0.02)

    def wait_for_recorder(self) -> None:
        """Publish, outside any episode, until a (new) recorder reports messages of every topic."""
        self.heard.clear()
        self._running = Episode()
        self.published[''] = defaultdict(list)
        deadline_s = time.monotonic() + 60
        while not all(self.heard.get(name, 0) > 0 for name in RECORDED):
            assert time.monotonic() < deadline_s, f'the recorder heard {self.heard} in 60 s'
            self.run(3)

    def _on_end_request(
        self, request: EndEpisode.Request, reply: EndEpisode.Response
    ) -> EndEpisode.Response:
        self.asked_to_end.append((request.outcome, request.ended_by))
        reply.ok = True
        return reply

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.statuses[status.name] = (status.level, status.message)
            head, _, topic = status.name.partition(': recorder/')
            if topic and head == self.robot_id:
                values = {one.key: one.value for one in status.values}
                self.heard[topic] = float(values['rate_hz'])

    def advance(self) -> Time:
        self.now_ns += TICK_NS
        stamp = Time(sec=self.now_ns // 10**9, nanosec=self.now_ns % 10**9)
        self._clock.publish(Clock(clock=stamp))
        return stamp

    def begin(self, episode_id: str) -> None:
        stamp = self.advance()
        message = Episode(
            state=Episode.RUNNING,
            episode_id=episode_id,
            robot_id=self.robot_id,
            task='restock',
            instruction='put the red can on the shelf',
            kind='rollout',
            seed=7,
            started=stamp,
        )
        message.header.stamp = stamp
        self._running = message
        self.published[episode_id] = defaultdict(list)
        self._episode.publish(message)

    def end(self) -> None:
        stamp = self.advance()
        message = self._running
        message.state, message.ended = Episode.ENDED, stamp
        message.outcome, message.ended_by = Episode.OUTCOME_SUCCESS, 'simulator'
        message.header.stamp = stamp
        self._episode.publish(message)

    def run(self, ticks: int, pace_s: float = 1 / 75, without: str = '') -> None:
        """Publish what a robot publishes, at 75 ticks a second of wall time; one stream may be silent."""
        episode_id = self._running.episode_id
        note = self.published[episode_id]
        for _ in range(ticks):
            began_s = time.monotonic()
            stamp = self.advance()
            self.tick += 1
            joints = JointState(name=NAMES, position=[0.1] * 16)
            executed = ExecutedAction(
                episode_id=episode_id,
                tick=self.tick,
                source=2 if self.tick % 50 < 10 else 1,
                joint_names=NAMES,
                position=[0.1] * 16,
                wish=[0.2] * 16,
                clamps=bytes(16),
                policy_version=4,
            )
            sent = [
                (self._joints, joints, 'joint_states'),
                (self._executed, executed, 'executed_action'),
                (self._state, SimState(tick=self.tick, qpos=[0.0] * 60), 'sim/state'),
            ]
            if self.tick % 3 == 0:
                sent += [
                    (camera, CompressedImage(format='jpeg', data=os.urandom(2000)), name)
                    for camera, name in zip(self._cameras, CAMERAS, strict=True)
                ]
            if self.tick % 9 == 0:
                chunk = ActionChunk(episode_id=episode_id, actions=[0.1] * 256)
                sent.append((self._chunk, chunk, 'action_chunk'))
            for publisher, message, name in sent:
                if name == without:
                    continue
                message.header.stamp = stamp
                publisher.publish(message)
                note[name].append(self.now_ns)
            self._executor.spin_once(timeout_sec=0)
            time.sleep(max(0.0, began_s + pace_s - time.monotonic()))
