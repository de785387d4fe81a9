"""Listen to every robot of the fleet and keep a `Fleet` up to date, in a thread of its own."""

from __future__ import annotations

import copy
import threading
import time

import rclpy
from lwd_policy_node.nodes import qos
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from lwd_bringup.demo.fleet import MODES, EpisodeView, Fleet
from lwd_msgs.msg import ControlMode, Episode, RobotStatus, WeightsStatus

OUTCOMES = ('unknown', 'success', 'failure', 'aborted')


class FleetWatch:
    """Owns a node and its thread; others read snapshots."""

    def __init__(self, robot_ids: list[str], domain_id: int) -> None:
        """Subscribe to every robot and start listening."""
        self._fleet = Fleet()
        self._lock = threading.Lock()
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain_id)
        self._node = rclpy.create_node('fleet_watch', context=self._context)
        subscribe = self._node.create_subscription
        subscribe(RobotStatus, '/lwd/robot_status', self._on_status, qos.ROBOT_STATUS)
        subscribe(WeightsStatus, '/lwd/weights_status', self._on_weights, qos.WEIGHTS_STATUS)
        self._pause = {}
        for robot_id in robot_ids:
            self._fleet.robot(robot_id)
            subscribe(Episode, f'/{robot_id}/episode', self._on_episode, qos.EPISODE_READER)
            subscribe(
                ControlMode,
                f'/{robot_id}/control_mode',
                lambda message, robot_id=robot_id: self._on_mode(robot_id, message),
                qos.CONTROL_MODE,
            )
            service = f'/{robot_id}/episode_node/set_parameters'
            self._pause[robot_id] = self._node.create_client(SetParameters, service)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name='fleet_watch', daemon=True)
        self._thread.start()

    def snapshot(self) -> Fleet:
        """A copy of what is known now."""
        with self._lock:
            return copy.deepcopy(self._fleet)

    def stop_new_episodes(self, timeout_s: float = 5.0) -> list[str]:
        """Ask every robot to finish its episode and start no other; return the robots that did not answer."""
        value = ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=False)
        request = SetParameters.Request(parameters=[Parameter(name='auto', value=value)])
        futures = {
            robot_id: client.call_async(request) for robot_id, client in self._pause.items()
        }
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not all(
            future.done() for future in futures.values()
        ):
            time.sleep(0.05)
        return [robot_id for robot_id, future in futures.items() if not future.done()]

    def close(self) -> None:
        """Stop listening."""
        self._executor.shutdown(timeout_sec=2.0)
        rclpy.shutdown(context=self._context)
        self._thread.join(timeout=2.0)

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def _on_status(self, message: RobotStatus) -> None:
        with self._lock:
            robot = self._fleet.robot(message.robot_id)
            robot.task, robot.instruction = message.task, message.instruction
            robot.version, robot.standby = message.policy_version, message.standby_version
            robot.episodes, robot.successes = message.episodes, message.successes
            robot.takeovers, robot.backlog = message.takeovers, message.backlog
            robot.heard_s = time.monotonic()

    def _on_weights(self, message: WeightsStatus) -> None:
        with self._lock:
            if message.event == WeightsStatus.LOADED:
                versions = self._fleet.loaded.setdefault(message.robot_id, [])
                if message.version not in versions:
                    versions.append(message.version)
            elif message.event == WeightsStatus.REFUSED:
                self._fleet.refused.append(
                    f'{message.robot_id} refused v{message.version}: {message.reason}'
                )

    def _on_episode(self, message: Episode) -> None:
        with self._lock:
            self._fleet.robot(message.robot_id).episode_running = message.state == Episode.RUNNING
            if message.state == Episode.IDLE or not message.episode_id:
                return
            episode = self._fleet.episodes.setdefault(
                message.episode_id, EpisodeView(message.episode_id, message.robot_id)
            )
            if message.state == Episode.ENDED:
                episode.outcome = OUTCOMES[message.outcome]

    def _on_mode(self, robot_id: str, message: ControlMode) -> None:
        with self._lock:
            self._fleet.robot(robot_id).mode = MODES[message.mode]
            episode = self._fleet.episodes.get(message.episode_id)
            if episode is not None:
                episode.takeovers = max(episode.takeovers, message.takeovers)
