"""One online episode without ROS: the policy acts, the scripted operator watches and takes over as in deployment.

Policy and plans are as in evaluation, the operator's watch as in its teleoperation source: ten looks a second until it
takes over, then every tick. What happened is a bag in a store, with source and policy version at every tick, so that
ingest makes of it what it makes of a robot's. Between policy and robot there is no arbiter here: no blend at a
take-over, no limits beyond the joints' own.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from lwd_learner.evaluation.rollout import ActFunction
from lwd_policy_node.episode import SUCCESS_HOLD_S
from lwd_recorder.bag import BagWriter
from lwd_recorder.manifest import EpisodeManifest
from lwd_sim.data.episode_bag import CLOCK_START_NS, Plan, Tape, manifest_of
from lwd_sim.operator import Operator, Patience, Skill, TakeoverMonitor
from lwd_sim.world import UnstableError, World

WATCH_HZ = 10.0
"""How often the operator looks while the policy acts."""

log = logging.getLogger('methods')


class Plans:
    """The policy's chunks of one episode, used by time: the newest that is at least `latency_steps` old."""

    def __init__(self, replan_steps: int, latency_steps: int) -> None:
        """Nothing is planned yet."""
        self._every, self._latency = replan_steps, latency_steps
        self._held: list[tuple[int, npt.NDArray[np.float64]]] = []

    def forget(self) -> None:
        """A human acted: what was planned is of another place."""
        self._held.clear()

    def due(self, tick: int) -> bool:
        """Whether to plan at this tick."""
        return not self._held or tick - self._held[-1][0] >= self._every

    def add(self, tick: int, chunk: npt.NDArray[np.float64]) -> None:
        """A chunk (H, A) made from the observation at `tick`."""
        self._held = [*self._held[-2:], (tick, chunk)]

    def action(self, tick: int) -> npt.NDArray[np.float64]:
        """Targets (A,) of this tick; a first chunk is used at once."""
        old_enough = [p for p in self._held if tick - p[0] >= self._latency]
        made, chunk = old_enough[-1] if old_enough else self._held[0]
        return chunk[min(tick - made, len(chunk) - 1)]


def roll_out(
    world: World,
    act: ActFunction,
    plan: Plan,
    version: int,
    profile_name: str,
    folder: Path,
    latency_steps: int = 1,
) -> EpisodeManifest:
    """Act out one episode and write its bag and manifest into `folder`.

    An episode whose simulation blows up ends there and is a failure, with a note that says so.

    Args:
        world: renders; its scene is replaced.
        act: the policy.
        plan: task and scene; its kind is rollout.
        version: number that the policy is recorded under, from 1.
        profile_name: goes into the manifest.
        folder: does not exist yet.
        latency_steps: control ticks from an observation to the use of its chunk.
    """
    profile = world.profile
    observation = world.reset(plan.task, plan.seed, plan.shift)
    operator, monitor = Operator(world, Skill.expert()), TakeoverMonitor(world, Patience())
    plans = Plans(profile.replan_steps, latency_steps)
    period_ns = round(profile.control_period_s * 1e9)
    limit = math.ceil(world.time_limit_s * profile.control_rate_hz)
    hold = math.ceil(SUCCESS_HOLD_S * profile.control_rate_hz)
    look_every = max(1, round(profile.control_rate_hz / WATCH_HZ))
    helping = False
    notes: tuple[str, ...] = ()
    takeovers = human_ticks = succeeded = 0
    with BagWriter(folder, measure_from_ns=CLOCK_START_NS) as bag:
        tape = Tape(bag, profile, plan, CLOCK_START_NS)
        tape.begin(world.instruction)
        for tick in range(limit):
            stamp_ns = CLOCK_START_NS + tick * period_ns
            if helping or tick % look_every == 0:
                before = helping
                helping = monitor.update(tick * profile.control_period_s) is not None
                if helping and not before:
                    operator.start()
                    takeovers += 1
            tape.observe(world, observation, stamp_ns)
            if helping:
                plans.forget()
                action = operator.act()
                human_ticks += 1
                tape.command(action, tick, stamp_ns)
            else:
                if plans.due(tick):
                    plans.add(tick, act(world.observe(), plan.seed * 1000 + tick))
                action = plans.action(tick)
                tape.command(action, tick, stamp_ns, policy_version=version)
            try:
                observation = world.step(action)
            except UnstableError as error:
                log.warning('%s is a failure: %s', plan.episode_id, error)
                succeeded, notes = 0, (str(error),)
                break
            succeeded = succeeded + 1 if world.success else 0
            if succeeded >= hold:
                break
        end_ns = CLOCK_START_NS + (tick + 1) * period_ns
        if not notes:
            tape.observe(world, observation, end_ns)
        outcome = 'success' if succeeded >= hold else 'failure'
        ended_by = 'simulator' if outcome == 'success' or notes else 'timeout'
        tape.end(outcome, ended_by, end_ns)
        summary = bag.close()
    manifest = replace(
        manifest_of(plan, profile_name, world.instruction, outcome, ended_by, end_ns, summary),
        policy_versions=(version,),
        takeovers=takeovers,
        human_s=human_ticks * profile.control_period_s,
        notes=notes,
    )
    manifest.save(folder)
    return manifest
