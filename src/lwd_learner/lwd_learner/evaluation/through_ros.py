"""The same evaluation through ROS: one simulated robot with its real nodes over DDS, driven by its episode service.

What in-process evaluation leaves out is in here: messages, two processes between observation and command, inference
that takes as long as it takes, and the arbiter's safety filter. Scenes and seeds are the same; the policy's noise is
not, so single episodes differ and success rates must agree within their interval.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import rclpy
from lwd_policy_node.nodes import qos
from lwd_policy_node.policy import Policy
from lwd_policy_node.weights import Manifest, WeightsStore, ensure_key_pair, load_private_key
from lwd_policy_node.weights.checks import file_sha256
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from lwd_learner.child_process import GRACE_S, MARK, Process, end_marked
from lwd_learner.evaluation.evaluate import EvaluationError, Result
from lwd_learner.evaluation.rollout import EVALUATION_SEED0, EpisodeResult
from lwd_msgs.msg import Episode, RobotStatus, SimState
from lwd_msgs.srv import StartEpisode

START_S = 120.0
"""Wall time for the robot's processes to come up and load the policy."""
ANSWER_S = 30.0
"""Wall time for a scene to be built."""
SLOWEST = 10.0
"""An episode may take so many times its simulated length of wall time before the robot counts as stuck."""


class SimulatedRobot:
    """``ros2 launch lwd_bringup robot.launch.py hardware:=sim`` with a policy of ours; use it in `with`."""

    def __init__(
        self, policy: Path, *, profile: str, shift: str, real_time_factor: float, domain_id: int
    ) -> None:
        """Put the policy where the robot keeps its weights; nothing is published to any fleet.

        Raises:
            PolicyError: `policy` is no policy.
        """
        self.robot_id = f'evaluation_{os.getpid()}'
        self._folder = tempfile.TemporaryDirectory(
            prefix='lwd_evaluation_', ignore_cleanup_errors=True
        )
        self._home = Path(self._folder.name)
        _keep(policy, self._home, self.robot_id)
        arguments = {
            **{'robot_id': self.robot_id, 'hardware': 'sim', 'profile': profile, 'shift': shift},
            **{'auto': 'false', 'teleop': 'none', 'record': 'false', 'upload': 'false'},
            **{'weights': 'false', 'respawn': 'false', 'rviz': 'false'},
            'real_time_factor': str(real_time_factor),
        }
        self._command = ['ros2', 'launch', 'lwd_bringup', 'robot.launch.py']
        self._command += [f'{name}:={value}' for name, value in arguments.items()]
        self._mark = uuid.uuid4().hex
        self._environment = {
            **os.environ,
            **{'ROS_DOMAIN_ID': str(domain_id), 'LWD_HOME': str(self._home)},
            **{'OMP_NUM_THREADS': '1', MARK: self._mark},
        }
        self._context = Context()
        self._domain_id = domain_id
        self._status: RobotStatus | None = None
        self._ended: dict[str, Episode] = {}
        self._scene = ('', 0)  # task and seed of the episode that runs
        self._progress = 0.0

    def __enter__(self) -> SimulatedRobot:
        self._process = Process(
            'robot',
            self._command,
            self._home / 'launch.log',
            self._environment,
            orphaned=signal.SIGINT,
        )
        try:
            self._listen()
        except BaseException:  # Ctrl-C too: `with` ends only what it has begun
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._end()

    def _listen(self) -> None:
        rclpy.init(
            context=self._context,
            domain_id=self._domain_id,
            signal_handler_options=SignalHandlerOptions.NO,
        )
        self._node = rclpy.create_node(
            'evaluation', namespace=f'/{self.robot_id}', context=self._context
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        subscribe = self._node.create_subscription
        subscribe(Episode, 'episode', self._on_episode, qos.EPISODE_READER)
        subscribe(SimState, 'sim/state', self._on_sim_state, qos.SIM_STATE)
        subscribe(RobotStatus, '/lwd/robot_status', self._on_status, qos.ROBOT_STATUS)
        self._start = self._node.create_client(StartEpisode, 'episode/start')

    def _end(self) -> None:
        self._process.stop()
        end_marked(self._mark, GRACE_S)  # what a launch that was killed has left
        self._context.try_shutdown()
        self._folder.cleanup()

    def await_policy(self) -> None:
        """Wait until the robot can act.

        Raises:
            EvaluationError: it cannot.
        """

        def ready() -> bool:
            active = self._status is not None and self._status.policy_version > 0
            return active and self._start.service_is_ready()

        self._wait('the robot to load the policy', ready, START_S)

    def run(self, task: str, seed: int) -> EpisodeResult:
        """One episode, until it ends by success or by the task's time limit.

        Raises:
            EvaluationError: the robot refuses it, aborts it or stands still.
        """
        future = self._start.call_async(StartEpisode.Request(task=task, kind='rollout', seed=seed))
        self._wait(f'scene {seed} of {task}', future.done, ANSWER_S)
        reply = future.result()
        if not reply.ok:
            raise EvaluationError(f'scene {seed} of {task} was refused: {reply.message}')
        self._wait(
            f'the end of {reply.episode_id}',
            lambda: reply.episode_id in self._ended,
            SLOWEST * 60.0,
        )
        ended = self._ended.pop(reply.episode_id)
        if ended.outcome not in (Episode.OUTCOME_SUCCESS, Episode.OUTCOME_FAILURE):
            raise EvaluationError(
                f'{reply.episode_id} ended without a verdict, by {ended.ended_by}:\n{self._said()}'
            )
        success = ended.outcome == Episode.OUTCOME_SUCCESS
        duration_s = _seconds(ended.ended) - _seconds(ended.started)
        return EpisodeResult(task, seed, success, self._progress, duration_s)

    def _wait(self, what: str, until: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not until():
            if self._process.poll() is not None:
                raise EvaluationError(f'the robot ended while waiting for {what}:\n{self._said()}')
            if time.monotonic() > deadline:
                raise EvaluationError(f'waited {timeout_s:.0f} s for {what}:\n{self._said()}')
            self._executor.spin_once(timeout_sec=0.1)

    def _said(self) -> str:
        return self._process.last_lines()

    def _on_episode(self, message: Episode) -> None:
        if message.state == Episode.ENDED:
            self._ended[message.episode_id] = message
        elif message.state == Episode.RUNNING:
            self._scene, self._progress = (message.task, message.seed), 0.0

    def _on_sim_state(self, message: SimState) -> None:
        if (message.task, message.seed) == self._scene:  # else it tells of the scene before
            self._progress = max(self._progress, message.progress)

    def _on_status(self, message: RobotStatus) -> None:
        if message.robot_id == self.robot_id:
            self._status = message


def evaluate_through_ros(
    policy: Path,
    *,
    profile: str = 'g1_laptop',
    tasks: Sequence[str] = ('restock',),
    episodes: int = 100,
    seed0: int = EVALUATION_SEED0,
    shift: str = 'trained',
    real_time_factor: float = 1.0,
    domain_id: int = 0,
) -> Result:
    """Evaluate one checkpoint on the scenes of `evaluate`, on one robot, one episode after the other.

    Args:
        policy: policy.safetensors.
        profile: robot profile.
        tasks: tasks, in turn.
        episodes: how many.
        seed0: first scene seed.
        shift: how scenes vary.
        real_time_factor: speed of simulated time.
        domain_id: ROS domain.

    Raises:
        EvaluationError: the robot did not come up, refused an episode, or stood still.
        PolicyError: `policy` is no policy.
    """
    with SimulatedRobot(
        policy,
        profile=profile,
        shift=shift,
        real_time_factor=real_time_factor,
        domain_id=domain_id,
    ) as robot:
        robot.await_policy()
        return Result.of([robot.run(tasks[i % len(tasks)], seed0 + i) for i in range(episodes)])


def _keep(policy: Path, home: Path, robot_id: str) -> None:
    """Put a policy, signed by a key of this evaluation, where policy_node finds its last good weights."""
    config_hash = Policy.config_hash_of(policy)
    copy = Path(shutil.copyfile(policy, home / 'policy.safetensors'))
    manifest = Manifest(
        published_ns=time.time_ns(),
        version=1,
        parent=0,
        stage='sft',
        step=0,
        config_hash=config_hash,
        replay_version='',
        size_bytes=copy.stat().st_size,
        sha256=file_sha256(copy),
    ).signed(load_private_key(ensure_key_pair(home / 'keys').private_path))
    store = WeightsStore(home / 'robots' / robot_id / 'weights')
    store.admit(manifest, copy)
    store.set_active(1)


def _seconds(stamp: Any) -> float:
    return float(stamp.sec + stamp.nanosec * 1e-9)
