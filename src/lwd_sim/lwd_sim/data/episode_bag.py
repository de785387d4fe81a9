"""One scripted episode as a real bag: the topics, stamps and manifest that a robot's recorder would have written.

Stamps are the simulated robot's clock. At tick k the cameras and joints show the world, the command of the same stamp
is what the operator did about it, and it takes effect until tick k + 1.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from lwd_policy_node.episode import SUCCESS_HOLD_S
from lwd_policy_node.profile import RobotProfile
from lwd_recorder.bag import BagSummary, BagWriter
from lwd_recorder.manifest import OUTCOMES, EpisodeManifest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState

from lwd_msgs.msg import ControlMode, Episode, ExecutedAction
from lwd_sim.data.exact_cdr import joint_state_size
from lwd_sim.nodes.robot_messages import RobotMessages, doubles, stamp_of
from lwd_sim.operator import Operator, Skill
from lwd_sim.tasks import Shift
from lwd_sim.world import Observation, World

CLOCK_START_NS = 1_000_000_000  # the robot's clock at tick 0
GIVE_UP_S = 0.5  # what is filmed after the operator gave up


@dataclass(frozen=True, slots=True)
class Plan:
    """What to record; the same plan gives the same episode."""

    episode_id: str
    robot_id: str
    task: str
    seed: int
    shift: Shift
    kind: str  # demonstration or play
    skill: Skill


def record(world: World, plan: Plan, profile_name: str, folder: Path) -> EpisodeManifest:
    """Act out one episode and write its bag and manifest into `folder`.

    Args:
        world: renders; its scene is replaced.
        plan: task, scene and skill.
        profile_name: goes into the manifest.
        folder: does not exist yet.

    Returns:
        The manifest, saved in the folder after everything else.
    """
    profile = world.profile
    observation = world.reset(plan.task, plan.seed, plan.shift)
    operator = Operator(world, plan.skill, seed=plan.seed)
    period_ns = round(profile.control_period_s * 1e9)
    limit = math.ceil(world.time_limit_s * profile.control_rate_hz)
    hold = math.ceil(SUCCESS_HOLD_S * profile.control_rate_hz)
    patience = math.ceil(GIVE_UP_S * profile.control_rate_hz)
    began_s = time.time()
    with BagWriter(folder, measure_from_ns=CLOCK_START_NS) as bag:
        tape = Tape(bag, profile, plan, CLOCK_START_NS)
        tape.begin(world.instruction)
        succeeded = hopeless = 0
        for tick in range(limit):
            stamp_ns = CLOCK_START_NS + tick * period_ns
            action = operator.act()
            tape.observe(world, observation, stamp_ns)
            tape.command(action, tick, stamp_ns)
            observation = world.step(action)
            succeeded = succeeded + 1 if world.success else 0
            hopeless = hopeless + 1 if operator.gave_up else 0
            if succeeded >= hold or hopeless >= patience:
                break
        end_ns = CLOCK_START_NS + (tick + 1) * period_ns
        tape.observe(world, observation, end_ns)
        outcome = 'success' if succeeded >= hold else 'failure'
        timed_out = outcome == 'failure' and hopeless < patience
        ended_by = 'timeout' if timed_out else 'simulator' if outcome == 'success' else 'operator'
        tape.end(outcome, ended_by, end_ns)
        summary = bag.close()
    manifest = replace(
        manifest_of(plan, profile_name, world.instruction, outcome, ended_by, end_ns, summary),
        human_s=(end_ns - CLOCK_START_NS) / 1e9,
        notes=(f'scripted demonstration, made in {time.time() - began_s:.2f} s',),
    )
    manifest.save(folder)
    return manifest


def manifest_of(
    plan: Plan,
    profile_name: str,
    instruction: str,
    outcome: str,
    ended_by: str,
    end_ns: int,
    summary: BagSummary,
) -> EpisodeManifest:
    """Return the manifest of an episode that ends now (simulated time `end_ns`), without takeovers."""
    return EpisodeManifest(
        episode_id=plan.episode_id,
        robot_id=plan.robot_id,
        profile=profile_name,
        task=plan.task,
        instruction=instruction,
        kind=plan.kind,
        seed=plan.seed,
        outcome=outcome,
        ended_by=ended_by,
        started_s=CLOCK_START_NS / 1e9,
        ended_s=end_ns / 1e9,
        ended_wall_s=time.time(),
        committed_wall_s=0.0,
        files=summary.files,
        topics=summary.topics,
    )


class Tape:
    """Writes one episode's messages with the stamps they would have had on a robot."""

    def __init__(self, bag: BagWriter, profile: RobotProfile, plan: Plan, start_ns: int) -> None:
        self._bag = bag
        self._profile = profile
        self._plan = plan
        self._start_ns = start_ns
        self._instruction = ''
        self._messages = RobotMessages(profile)
        self._executed = ExecutedAction(
            episode_id=plan.episode_id,
            source=ExecutedAction.SOURCE_HUMAN,
            joint_names=list(profile.joint_names),
            clamps=[ExecutedAction.CLAMP_NONE] * len(profile.joints),
            observation_age_s=0.0,
            reason='operator',
        )

    def begin(self, instruction: str) -> None:
        """The episode starts, under human control."""
        self._instruction = instruction
        self._episode(Episode.RUNNING, self._start_ns)
        mode = ControlMode(
            mode=ControlMode.HUMAN,
            previous=ControlMode.HOLD,
            episode_id=self._plan.episode_id,
            reason='operator',
        )
        mode.header.stamp = stamp_of(self._start_ns)
        self._write('control_mode', 'lwd_msgs/msg/ControlMode', mode, self._start_ns)

    def observe(self, world: World, observation: Observation, stamp_ns: int) -> None:
        """Cameras (when they saw), joints and the simulator's truth at one tick."""
        stamp = stamp_of(stamp_ns)
        state = self._messages.joint_state(observation, stamp)
        self._write('joint_states', 'sensor_msgs/msg/JointState', state, stamp_ns)
        for camera in self._profile.cameras:
            if camera.name in observation.images:
                image = self._messages.image(camera.name, observation.images[camera.name], stamp)
                self._write(camera.topic, 'sensor_msgs/msg/CompressedImage', image, stamp_ns)
        truth = self._messages.sim_state(world, self._plan.seed, stamp)
        self._write('sim/state', 'lwd_msgs/msg/SimState', truth, stamp_ns)

    def command(
        self,
        action: npt.NDArray[np.float64],
        tick: int,
        stamp_ns: int,
        policy_version: int | None = None,
    ) -> None:
        """The targets (A,) of one tick: the operator's, or those of the weights of `policy_version`."""
        executed = self._executed
        human = policy_version is None
        executed.source = ExecutedAction.SOURCE_HUMAN if human else ExecutedAction.SOURCE_POLICY
        executed.policy_version = policy_version or 0
        executed.reason = 'operator' if human else 'policy'
        executed.tick = tick
        executed.position = executed.wish = doubles(action)
        executed.header.stamp = stamp_of(stamp_ns)
        self._write('executed_action', 'lwd_msgs/msg/ExecutedAction', executed, stamp_ns)

    def end(self, outcome: str, ended_by: str, stamp_ns: int) -> None:
        """The episode is over."""
        self._episode(Episode.ENDED, stamp_ns, OUTCOMES.index(outcome), ended_by)

    def _episode(self, state: int, stamp_ns: int, outcome: int = 0, ended_by: str = '') -> None:
        plan = self._plan
        message = Episode(
            state=state,
            episode_id=plan.episode_id,
            robot_id=plan.robot_id,
            task=plan.task,
            instruction=self._instruction,
            kind=plan.kind,
            seed=plan.seed,
            started=stamp_of(self._start_ns),
            outcome=outcome,
            ended_by=ended_by,
        )
        message.header.stamp = stamp_of(stamp_ns)
        if state == Episode.ENDED:
            message.ended = message.header.stamp
        self._write('episode', 'lwd_msgs/msg/Episode', message, stamp_ns)

    def _write(self, name: str, type_name: str, message: object, stamp_ns: int) -> None:
        serialize: Callable[[object], bytes] = serialize_message
        data = serialize(message)
        if isinstance(message, JointState):
            data = data[: joint_state_size(message)]
        self._bag.write(f'/{self._plan.robot_id}/{name}', type_name, data, stamp_ns)
