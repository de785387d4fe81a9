"""One light robot: a bag's frames under its own name, episodes, status, and the real weights client."""

from __future__ import annotations

import json
import random
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lwd_policy_node.inference import LoadedWeights, PolicySlot
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.weights_client import WeightsClient
from lwd_policy_node.nodes.weights_pull import WeightsOptions
from lwd_policy_node.nodes.wire import stamp_of
from lwd_policy_node.weights import WeightsStore
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, JointState
from std_msgs.msg import String, UInt32

from lwd_bringup.soak.frames import Frames
from lwd_bringup.soak.light_policy import SHAPE, LightPolicy
from lwd_msgs.msg import ControlMode, Episode, ExecutedAction, RobotStatus
from lwd_msgs.srv import EndEpisode

CAMERA_EVERY = 3  # ticks
CLOSED_PATIENCE_S = (
    40.0  # for the recorder to close an episode, before the next begins all the same
)
PAUSE_S = 0.5
STALL_S = 0.5  # without a control tick
AFTER_STALL_S = 1.5  # an episode lasts at least so much longer
SHORTEST_S = 2.0  # an episode cut short because the soak comes to an end lasts so long


class LightRobot:
    """Node, publishers and the episode under way; `step` is called once a control period by one thread."""

    def __init__(
        self, node: Node, home: Path, frames: Frames, episode_s: float, seed: int, transport: str
    ) -> None:
        """Use `node`, whose namespace is the robot's name."""
        self._node = node
        self.robot_id = node.get_namespace().strip('/')
        self._home = home
        self._frames = frames
        self._episode_s = episode_s
        self._transport = transport
        self._rng = random.Random(f'{seed} {self.robot_id}')
        kinds: dict[str, Any] = {'joint_states': JointState, 'executed_action': ExecutedAction}
        profiles = {'joint_states': qos.JOINT_STATES, 'executed_action': qos.EXECUTED_ACTION}
        self._out = {
            topic: node.create_publisher(
                kinds.get(topic, CompressedImage), topic, profiles.get(topic, qos.CAMERA)
            )
            for topic in frames.streams
        }
        self._episode_out = node.create_publisher(Episode, 'episode', qos.EPISODE)
        self._mode_out = node.create_publisher(ControlMode, 'control_mode', qos.CONTROL_MODE)
        self._status_out = node.create_publisher(
            RobotStatus, '/lwd/robot_status', qos.ROBOT_STATUS
        )
        node.create_subscription(String, 'recorder/closed', self._on_closed, qos.RECORDER_STATE)
        node.create_subscription(UInt32, 'recorder/backlog', self._on_backlog, qos.RECORDER_STATE)
        node.create_service(EndEpisode, 'episode/end', self._on_end)
        self._status = RobotStatus(robot_id=self.robot_id)
        self._recorder_ready = False
        self._closed = ''
        self._turning = (
            threading.Lock()
        )  # the driving thread and a recorder's request may both end an episode
        self._episode = Episode()
        self._tick = 0
        self._began_s = self._until_s = self._stepped_s = 0.0
        self._status_due_s = 0.0
        self._in_use: LoadedWeights | None = None
        self._slot = PolicySlot()
        self._client: WeightsClient | None = None
        self.resting = False
        """The episode under way ends, and no new one is begun."""
        self.plug_in()

    def plug_in(self) -> None:
        """Make the weights client, which brings the last good weights back from disk."""
        if self._client is not None:
            return
        self._slot = PolicySlot()
        self._in_use = None
        self._client = WeightsClient(
            self._node,
            options=WeightsOptions(
                robot_id=self.robot_id,
                trusted_keys=self._home / 'keys',
                transport=self._transport,
                config_hash='',
                piece_bytes=1 << 20,
                answer_timeout_s=3.0,
                retry_s=1.0,
                robot={'profile': 'soak'},
                chunk_shape=SHAPE,
            ),
            store=WeightsStore(self._home / 'robots' / self.robot_id / 'weights'),
            slot=self._slot,
            loader=lambda: LightPolicy,
            sample=lambda instruction: instruction,
            changed=self._use,
        )

    def cut_off(self) -> None:
        """Hear nothing of weights and say nothing of itself any more."""
        client, self._client = self._client, None
        if (
            client is not None
        ):  # a pull under way may take its time: the other robots must not wait
            threading.Thread(target=client.close, name='cut off', daemon=True).start()

    def step(self, now_s: float) -> None:
        """Publish one control tick, and move on from episode to episode."""
        with self._turning:
            if now_s - self._stepped_s > STALL_S:  # who stood still has not just now succeeded
                self._until_s = max(self._until_s, now_s + AFTER_STALL_S)
            self._stepped_s = now_s
            self._turn(now_s)
        self._publish_tick()
        if self._client is not None and now_s >= self._status_due_s:
            self._status_due_s = now_s + 1.0
            self._publish_status()

    def _turn(self, now_s: float) -> None:
        """Begin or end an episode if it is time to."""
        if self._episode.state == Episode.RUNNING:
            soonest_s = self._began_s + SHORTEST_S if self.resting else self._until_s
            if now_s >= min(soonest_s, self._until_s):
                good = self._rng.random() < 0.7
                self._end(
                    Episode.OUTCOME_SUCCESS if good else Episode.OUTCOME_FAILURE, 'simulator'
                )
        elif not self.resting and self._recorder_ready and self._may_begin(now_s):
            self._begin(now_s)

    def _may_begin(self, now_s: float) -> bool:
        if self._closed == self._episode.episode_id:
            return now_s >= self._until_s - CLOSED_PATIENCE_S + PAUSE_S
        return now_s >= self._until_s

    def _begin(self, now_s: float) -> None:
        wall = time.time()
        name = time.strftime('%Y%m%dT%H%M%S', time.gmtime(wall))
        episode_id = f'{self.robot_id}-{name}-{secrets.token_hex(4)}'
        stamp = stamp_of(int(wall * 1e9))
        self._slot.episode(True, False)
        self._episode = Episode(
            state=Episode.RUNNING, episode_id=episode_id, robot_id=self.robot_id, task='restock',
            instruction='put the red can on the shelf', kind='rollout', started=stamp,
        )  # fmt: skip
        self._episode.header.stamp = stamp
        self._began_s = now_s
        self._until_s = now_s + self._episode_s * self._rng.uniform(0.5, 1.5)
        self._note('begin', '')
        self._episode_out.publish(self._episode)

    def _end(self, outcome: int, by: str) -> None:
        stamp = stamp_of(time.time_ns())
        message = self._episode
        message.state, message.outcome, message.ended_by = Episode.ENDED, outcome, by
        message.ended = message.header.stamp = stamp
        self._episode_out.publish(message)
        self._until_s = time.monotonic() + CLOSED_PATIENCE_S
        self._status.episodes += 1
        self._status.successes += int(outcome == Episode.OUTCOME_SUCCESS)
        self._status.rollouts, self._status.unaided = self._status.episodes, self._status.successes
        self._note('end', by)
        self._slot.episode(False, True)
        self._use()

    def _use(self) -> None:
        weights = self._slot.active
        if weights is not None and weights is not self._in_use and self._client is not None:
            self._in_use = weights
            self._status.policy_version = weights.manifest.version
            self._client.activated(weights)

    def _publish_tick(self) -> None:
        self._tick += 1
        stamp = stamp_of(time.time_ns())
        running = self._episode.state == Episode.RUNNING
        for topic, stream in self._frames.streams.items():
            is_camera = topic in self._frames.cameras
            if is_camera and self._tick % CAMERA_EVERY:
                continue
            message = stream[(self._tick // (CAMERA_EVERY if is_camera else 1)) % len(stream)]
            message.header.stamp = stamp
            if topic == 'executed_action':
                message.tick = self._tick
                message.episode_id = self._episode.episode_id if running else ''
                message.policy_version = int(self._status.policy_version)
            self._out[topic].publish(message)
        if self._tick % 30 == 0:
            mode = ControlMode(mode=ControlMode.POLICY if running else ControlMode.HOLD)
            mode.header.stamp = stamp
            self._mode_out.publish(mode)

    def _publish_status(self) -> None:
        status = self._status
        status.stamp = stamp_of(time.time_ns())
        status.mode = ControlMode.POLICY
        status.episode_state, status.episode_id = self._episode.state, self._episode.episode_id
        status.task = self._episode.task
        self._status_out.publish(status)

    def _on_closed(self, message: String) -> None:
        self._closed = message.data

    def _on_backlog(self, message: UInt32) -> None:
        self._recorder_ready = True
        self._status.backlog = message.data

    def _on_end(self, request: Any, response: Any) -> Any:
        with self._turning:
            response.ok = self._episode.state == Episode.RUNNING
            if response.ok:
                self._end(request.outcome, request.ended_by)
        return response

    def _note(self, what: str, by: str) -> None:
        entry = {
            'episode_id': self._episode.episode_id,
            'robot_id': self.robot_id,
            'what': what,
            'by': by,
            'wall_s': time.time(),
        }
        with (self._home / 'announced' / f'{self.robot_id}.jsonl').open('a') as file:
            file.write(json.dumps(entry) + '\n')


Order = Callable[[LightRobot], None]
ORDERS: dict[str, Order] = {
    'cut': LightRobot.cut_off,
    'plug': LightRobot.plug_in,
}
