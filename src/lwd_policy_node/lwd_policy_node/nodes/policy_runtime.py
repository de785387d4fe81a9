"""All that policy_node has while it is configured: streams, weights, the policy's thread and its heartbeat.

The executor's thread only hands in what arrives. One thread runs the policy (`inference.worker`), another
takes weights (`weights_client.py`), a third says that the process lives (`heartbeat.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, JointState

from lwd_msgs.msg import ActionChunk, ControlMode, Episode, ExecutedAction
from lwd_policy_node.inference import EpisodeFacts, PolicySlot, Told, Worker
from lwd_policy_node.inference.planner import Plan
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.heartbeat import HeartbeatThread
from lwd_policy_node.nodes.policy_parameters import make_planner, weights_options
from lwd_policy_node.nodes.policy_report import PolicyReport
from lwd_policy_node.nodes.polling import PolledInputs, incompatible_writers
from lwd_policy_node.nodes.process import Leaving, StartError
from lwd_policy_node.nodes.threads import start_thread
from lwd_policy_node.nodes.weights_client import WeightsClient
from lwd_policy_node.places import lwd_home, robot_home
from lwd_policy_node.profile import ProfileError, load_profile
from lwd_policy_node.weights import WeightsStore
from lwd_policy_node.weights.checks import Load
from lwd_policy_node.weights.wire import time_message, time_ns

LOOK_S = 0.1  # how often a wait looks whether the process has been asked to leave


class PolicyRuntime:
    """Topics and threads around the cores in `inference` and `weights`."""

    def __init__(
        self,
        node: LifecycleNode,
        robot_id: str,
        values: Mapping[str, Any],
        loader: Callable[[], Load],
    ) -> None:
        """Subscribe and start the threads; the last good weights are on their way.

        Args:
            node: whose topics they are.
            robot_id: name of the robot.
            values: of `policy_parameters.PARAMETERS`.
            loader: called once in the weights' thread; returns what builds a policy from a file.

        Raises:
            StartError: a value cannot be used; it is named.
        """
        folder = Path(values['weights_dir'] or robot_home(robot_id) / 'weights')
        try:
            self._profile = load_profile(values['profile'])
            planner = make_planner(self._profile, values)
            store = WeightsStore(folder, values['weights_kept'])
        except (ProfileError, ValueError) as error:
            raise StartError(str(error)) from error
        except OSError as error:
            raise StartError(f'weights_dir {folder} cannot be used: {error}') from error
        self._node = node
        self._slot = PolicySlot()
        self._worker = Worker(
            self._profile,
            planner,
            self._slot,
            kinds=values['episode_kinds'],
            late_after_s=values['late_after_s'],
            failures_allowed=values['failures_to_roll_back'],
        )
        self._mode = ControlMode.HOLD
        self._instruction = ''
        self._value = float('nan')
        self._chunks = 0
        self._chunk_pub = node.create_lifecycle_publisher(
            ActionChunk, 'action_chunk', qos.ACTION_CHUNK
        )
        self._report = PolicyReport(node, robot_id, self._profile)
        self._weights = WeightsClient(
            node,
            options=weights_options(values, robot_id, self._profile, lwd_home()),
            store=store,
            slot=self._slot,
            loader=loader,
            sample=self._worker.sample,
            follow=values['follow_weights'],
            changed=self._worker.wake,
        )
        self._streams = [('joint_states', qos.JOINT_STATES)]
        self._streams += [(camera.topic, qos.CAMERA) for camera in self._profile.cameras]
        self._subscriptions = self._subscribe()
        self._executed = PolledInputs(node)
        self._executed.add(
            ExecutedAction, 'executed_action', self._on_executed, qos.EXECUTED_ACTION
        )
        self._heartbeat = HeartbeatThread(
            node, self._profile.control_period_s, values['heartbeat_priority']
        )
        told = Told(
            planned=self._on_plan,
            active=self._weights.activated,
            failed=self._weights.failed,
            rejected=lambda why: node.get_logger().error(f'no chunk from {why}'),
        )
        self._thread = start_thread(
            'inference', lambda: self._worker.run(told), lambda: self._worker.stopping
        )

    def _subscribe(self) -> list[Any]:
        subscribe = self._node.create_subscription
        found = [
            subscribe(JointState, 'joint_states', self._on_joint_state, qos.JOINT_STATES),
            subscribe(Episode, 'episode', self._on_episode, qos.EPISODE_READER),
            subscribe(ControlMode, 'control_mode', self._on_mode, qos.CONTROL_MODE),
        ]
        for camera in self._profile.cameras:

            def on_image(message: Any, name: str = camera.name) -> None:
                stamp_ns = time_ns(message.header.stamp)
                self._worker.put_image(name, stamp_ns, bytes(message.data))

            found.append(subscribe(CompressedImage, camera.topic, on_image, qos.CAMERA))
        return found

    def await_warm(self, leaving: Leaving) -> None:
        """Wait until the weights of this robot's disk, if there are any, have run once.

        Raises:
            StartError: the policy's code cannot be loaded, or `leaving()`.
        """
        while not (self._weights.restored.wait(LOOK_S) and self._worker.warm):
            if leaving():
                raise StartError('asked to leave while the policy was loading')
        if self._weights.broken:
            raise StartError(self._weights.broken)

    def start(self) -> None:
        """Plan, and say that somebody stands behind the plans."""
        self._worker.plan(True)
        self._heartbeat.start()

    def stop(self) -> None:
        """Plan no more; the arbiter holds when it misses the heartbeat."""
        self._heartbeat.stop()
        self._worker.plan(False)

    def close(self) -> None:
        """Stop the threads and withdraw every topic."""
        self._worker.stop()
        self._heartbeat.close()
        self._thread.join(timeout=5.0)
        self._weights.close()
        self._executed.close()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._report.close()
        self._node.destroy_lifecycle_publisher(self._chunk_pub)

    # In and out ---------------------------------------------------------------------------------

    def _on_joint_state(self, message: Any) -> None:
        stamp_ns = time_ns(message.header.stamp)
        self._worker.put_joint_state(stamp_ns, message.name, message.position, message.velocity)

    def _on_episode(self, message: Any) -> None:
        running = message.state == Episode.RUNNING
        self._instruction = message.instruction if running else ''
        self._worker.change_episode(
            EpisodeFacts(
                episode_id=message.episode_id,
                running=running,
                kind=message.kind,
                instruction=message.instruction,
                started_ns=time_ns(message.started),
            )
        )

    def _on_mode(self, message: Any) -> None:
        owned = (ControlMode.HUMAN, ControlMode.ESTOP)
        handed_back = self._mode in owned and message.mode not in owned
        self._mode = message.mode
        self._worker.change_executing(
            message.mode == ControlMode.POLICY,
            time_ns(message.header.stamp) if handed_back else None,
        )

    def _on_executed(self, message: Any) -> None:
        if message.source == ExecutedAction.SOURCE_POLICY:
            self._worker.executed(message.chunk_id, message.chunk_step, message.observation_age_s)

    def _on_plan(self, plan: Plan, inference_s: float) -> None:
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
        self._value = message.value = plan.value
        self._chunk_pub.publish(message)
        self._report.show_plan(plan.actions)

    def diagnose(self) -> None:
        """Publish diagnostics, and mode and version for RViz."""
        self._executed.poll()
        faults, cadence = self._worker.report(self._node.get_clock().now().nanoseconds)
        for topic, profile in self._streams:
            name = self._node.resolve_topic_name(topic)
            faults += incompatible_writers(self._node, name, profile)
        versions = {
            f'{name}_version': 0 if weights is None else weights.manifest.version
            for name, weights in (('active', self._slot.active), ('standby', self._slot.standby))
        }
        note = self._weights.note
        well = bool(versions['active_version']) and not note
        trouble = self._worker.trouble
        self._report.diagnose(faults, (note, well, versions), trouble, self._chunks, cadence)
        version = versions['active_version']
        self._report.show(self._mode, version, self._instruction, self._value)
