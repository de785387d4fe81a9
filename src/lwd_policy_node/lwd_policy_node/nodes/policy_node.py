"""policy_node: camera images, joint state and instruction in, action chunks out; weights by air.

The executor's thread only stores what arrives. One thread runs the policy, another takes weights
(`weights_client.py`). Between episodes, and without weights, no chunk is published.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, JointState

from lwd_msgs.msg import ActionChunk, ControlMode, Episode, ExecutedAction
from lwd_policy_node.inference import (
    Cadence,
    ChunkRejected,
    LoadedWeights,
    Observation,
    ObservationAssembler,
    PolicySlot,
)
from lwd_policy_node.inference.observation import StreamError, decode_images, zero_observation
from lwd_policy_node.inference.planner import Plan
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.heartbeat import HeartbeatThread
from lwd_policy_node.nodes.parameters import declare
from lwd_policy_node.nodes.policy_parameters import PARAMETERS, make_planner, weights_options
from lwd_policy_node.nodes.policy_report import PolicyReport
from lwd_policy_node.nodes.polling import PolledInputs, incompatible_writers
from lwd_policy_node.nodes.process import StartError, run_node
from lwd_policy_node.nodes.threads import start_thread
from lwd_policy_node.nodes.weights_client import WeightsClient
from lwd_policy_node.profile import ProfileError, load_profile
from lwd_policy_node.weights import WeightsStore
from lwd_policy_node.weights.checks import Load
from lwd_policy_node.weights.wire import time_message, time_ns

DIAGNOSTICS_PERIOD_S = 1.0
IDLE_WAIT_S = 0.5  # the inference thread looks at `stopping` at least this often


def torch_loader() -> Load:
    """Import the policy model, which takes seconds, and return what loads it for one thread."""
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    from lwd_policy_node.policy import Policy

    return lambda path: Policy.load(path, threads=1)


class PolicyNode(Node):
    """Parameters, topics and threads around the cores in `inference` and `weights`."""

    def __init__(self, loader: Callable[[], Load] = torch_loader) -> None:
        super().__init__('policy_node')
        values = declare(self, PARAMETERS)
        self._robot_id: str = values['robot_id'] or self.get_namespace().strip('/')
        if not self._robot_id:
            raise StartError('robot_id is empty: set it, or start the node in a namespace')
        try:
            self._profile = load_profile(values['profile'])
            self._planner = make_planner(self._profile, values)
        except (ProfileError, ValueError) as error:
            raise StartError(str(error)) from error
        self._kinds = frozenset(values['episode_kinds'])
        self._failures_allowed: int = values['failures_to_roll_back']
        self._changed = threading.Condition()
        self._assembler = ObservationAssembler(self._profile, values['late_after_s'])
        self._slot = PolicySlot()
        self._episode = Episode()
        self._mode = ControlMode.HOLD
        self._sample = zero_observation(self._profile)
        self._stopping = False
        self._chunks = 0
        self._cadence = Cadence()
        self._trouble = ''
        self._chunk_pub = self.create_publisher(ActionChunk, 'action_chunk', qos.ACTION_CHUNK)
        self._report = PolicyReport(self, self._robot_id, self._profile)
        self._weights = self._make_client(values, loader)
        self._streams = [('joint_states', qos.JOINT_STATES)]
        self.create_subscription(
            JointState, 'joint_states', self._on_joint_state, qos.JOINT_STATES
        )
        for camera in self._profile.cameras:
            self._streams.append((camera.topic, qos.CAMERA))
            self.create_subscription(
                CompressedImage,
                camera.topic,
                lambda message, name=camera.name: self._on_image(name, message),
                qos.CAMERA,
            )
        self.create_subscription(Episode, 'episode', self._on_episode, qos.EPISODE_READER)
        self.create_subscription(ControlMode, 'control_mode', self._on_mode, qos.CONTROL_MODE)
        self._executed = PolledInputs(self)
        self._executed.add(
            ExecutedAction, 'executed_action', self._on_executed, qos.EXECUTED_ACTION
        )
        self.create_timer(
            DIAGNOSTICS_PERIOD_S, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._thread = start_thread('inference', self._infer)
        self._heartbeat = HeartbeatThread(
            self, self._profile.control_period_s, values['heartbeat_priority']
        )
        self._heartbeat.start()

    def destroy_node(self) -> None:
        """Stop the threads, then the node."""
        self._heartbeat.stop()
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout=5.0)
        self._weights.close()
        super().destroy_node()

    def _make_client(self, values: dict[str, Any], loader: Callable[[], Load]) -> WeightsClient:
        home = Path(os.environ.get('LWD_HOME', Path.home() / '.lwd'))
        folder = Path(values['weights_dir'] or home / 'robots' / self._robot_id / 'weights')
        try:
            store = WeightsStore(folder, values['weights_kept'])
        except OSError as error:
            raise StartError(f'weights_dir {folder} cannot be used: {error}') from error
        return WeightsClient(
            self,
            options=weights_options(values, self._robot_id, self._profile, home),
            store=store,
            slot=self._slot,
            loader=loader,
            sample=self._observation_to_try,
            follow=values['follow_weights'],
        )

    def _observation_to_try(self, known_instruction: str) -> Observation:
        if self._sample.instruction:
            return self._sample
        return replace(self._sample, instruction=known_instruction)

    def _on_image(self, camera: str, message: Any) -> None:
        with self._changed:
            stamp_ns = time_ns(message.header.stamp)
            self._assembler.put_image(camera, stamp_ns, bytes(message.data))
            newest_ns = self._assembler.newest_stamp_ns()
            if newest_ns is not None:
                self._cadence.observed(newest_ns)
            self._changed.notify_all()

    def _on_joint_state(self, message: Any) -> None:
        with self._changed:
            stamp_ns = time_ns(message.header.stamp)
            self._assembler.put_joint_state(
                stamp_ns, message.name, message.position, message.velocity
            )
            self._changed.notify_all()

    def _on_episode(self, message: Any) -> None:
        with self._changed:
            runs = message.state == Episode.RUNNING
            boundary = not runs or message.episode_id != self._episode.episode_id
            activated = self._slot.episode(runs, boundary)
            self._episode = message
            self._changed.notify_all()
        if activated is not None:
            self._weights.activated(activated)

    def _on_mode(self, message: Any) -> None:
        with self._changed:
            took_back = self._mode in (ControlMode.HUMAN, ControlMode.ESTOP)
            if took_back and message.mode not in (ControlMode.HUMAN, ControlMode.ESTOP):
                self._planner.replan_after(time_ns(message.header.stamp))
            self._mode = message.mode
            self._planner.executing = message.mode == ControlMode.POLICY

    def _on_executed(self, message: Any) -> None:
        if message.source == ExecutedAction.SOURCE_POLICY:
            self._cadence.executed(message.chunk_id, message.chunk_step, message.observation_age_s)

    def _infer(self) -> None:
        failures = 0
        while (work := self._next_work()) is not None:
            weights, observation, episode_id = work
            version = weights.manifest.version
            began = time.monotonic()
            try:
                plan = self._planner.plan(weights.policy, version, observation, episode_id)
            except ChunkRejected as error:
                failures += 1
                self._trouble = f'version {version}: {error}'
                self.get_logger().error(f'no chunk from {self._trouble}')
                if failures >= self._failures_allowed:
                    failures = 0
                    self._weights.failed(weights, str(error))
                continue
            failures = 0
            self._trouble = ''
            seconds = time.monotonic() - began
            with self._changed:
                self._cadence.inferred(seconds)
            self._publish(plan, seconds)
            self._report.show_plan(plan.actions)

    def _next_work(self) -> tuple[LoadedWeights, Observation, str] | None:
        """Wait for an observation that is due; None when the node stops."""
        tried_ns: int | None = None
        while True:
            with self._changed:
                taken = None
                while taken is None:
                    if self._stopping:
                        return None
                    taken = self._due_observation(tried_ns)
                    if taken is None:
                        self._changed.wait(IDLE_WAIT_S)
                stamp_ns, jpegs, state = taken
                episode = self._episode
            tried_ns = stamp_ns
            try:
                images = decode_images(self._profile, jpegs)
            except StreamError as error:
                camera, _, reason = str(error).partition(': ')
                with self._changed:
                    self._assembler.note_bad_image(camera, reason)
                continue
            with self._changed:
                for name in images:
                    self._assembler.note_bad_image(name, None)
            observation = Observation(stamp_ns, images, state, episode.instruction)
            self._sample = observation
            weights = self._slot.active
            if weights is not None:
                return weights, observation, episode.episode_id

    def _due_observation(self, tried_ns: int | None) -> Any:
        episode = self._episode
        if episode.state != Episode.RUNNING or episode.kind not in self._kinds:
            return None
        if self._slot.active is None:
            return None
        taken = self._assembler.take()
        if taken is None or taken[0] == tried_ns or taken[0] < time_ns(episode.started):
            return None
        return taken if self._planner.due(taken[0], episode.episode_id) else None

    def _publish(self, plan: Plan, inference_s: float) -> None:
        self._chunks += 1
        message = ActionChunk()
        message.header.stamp = time_message(plan.stamp_ns)
        message.episode_id = plan.episode_id
        message.chunk_id = self._chunks
        message.policy_version = plan.version
        message.joint_names = list(self._profile.joint_names)
        message.step_s = self._profile.control_period_s
        message.steps = len(plan.actions)
        message.actions = plan.actions.ravel().tolist()
        message.frozen_steps = plan.frozen_steps
        message.inference_s = inference_s
        message.value = float('nan')
        self._chunk_pub.publish(message)

    def _diagnose(self) -> None:
        with self._changed:
            self._executed.poll()
            now_ns = self.get_clock().now().nanoseconds
            faults = self._assembler.faults(now_ns)
            cadence = self._cadence.report()
        for topic, profile in self._streams:
            faults += incompatible_writers(self, self.resolve_topic_name(topic), profile)
        versions = {
            f'{name}_version': 0 if weights is None else weights.manifest.version
            for name, weights in (('active', self._slot.active), ('standby', self._slot.standby))
        }
        note = self._weights.note
        well = bool(versions['active_version']) and not note
        self._report.diagnose(faults, (note, well, versions), self._trouble, self._chunks, cadence)
        episode = self._episode
        instruction = episode.instruction if episode.state == Episode.RUNNING else ''
        self._report.show(self._mode, versions['active_version'], instruction)


def main(args: Sequence[str] | None = None, loader: Callable[[], Load] = torch_loader) -> int:
    """Run policy_node until a signal; end the process with the exit code."""
    code = run_node(lambda: PolicyNode(loader), args)
    sys.stdout.flush()
    sys.stderr.flush()
    # Torn down in the ordinary way, torch takes seconds: longer than launch waits on a busy machine.
    os._exit(code)


if __name__ == '__main__':
    sys.exit(main())
