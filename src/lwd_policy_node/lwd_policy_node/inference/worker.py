"""The thread that runs the policy, and what it works on: streams in, plans out, weights warmed up before use.

Other threads hand in what arrives and return at once. New weights run once on something to try before they
plan: the first inference in a thread takes several times as long as the next ones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from lwd_policy_node.inference.cadence import Cadence, CadenceReport
from lwd_policy_node.inference.observation import (
    Observation,
    ObservationAssembler,
    StreamError,
    Taken,
    decode_images,
    zero_observation,
)
from lwd_policy_node.inference.planner import ChunkRejected, Plan, Planner
from lwd_policy_node.inference.slot import LoadedWeights, PolicySlot
from lwd_policy_node.installation import InstallationError
from lwd_policy_node.profile import RobotProfile
from lwd_policy_node.weights.checks import check_policy
from lwd_policy_node.weights.refusal import WeightsRefused

IDLE_WAIT_S = 0.5  # the thread looks for work at least this often


@dataclass(frozen=True, slots=True)
class EpisodeFacts:
    """The episode under way, as far as the policy needs to know."""

    episode_id: str = ''
    running: bool = False
    kind: str = ''
    instruction: str = ''
    started_ns: int = 0  # robot clock


@dataclass(frozen=True, slots=True)
class Told:
    """Whom the worker tells; all are called in its thread.

    Attributes:
        planned: a plan, and the wall time of its inference, s.
        active: weights are in use from now on: they have run once.
        failed: weights must not be used, and why.
        rejected: an inference gave no chunk, and why.
    """

    planned: Callable[[Plan, float], None]
    active: Callable[[LoadedWeights], None]
    failed: Callable[[LoadedWeights, str], None]
    rejected: Callable[[str], None]


class Worker:
    """Call `run` in a thread of its own; every other method is for the others."""

    def __init__(
        self,
        profile: RobotProfile,
        planner: Planner,
        slot: PolicySlot,
        *,
        kinds: Collection[str],
        late_after_s: float,
        failures_allowed: int,
    ) -> None:
        """Plan for a robot.

        Args:
            profile: of the robot.
            planner: makes the plans.
            slot: the weights in use.
            kinds: of episodes in which the policy plans.
            late_after_s: robot time without a message after which a stream is named late; at most what plans allow.
            failures_allowed: failed inferences in a row after which weights count as failed; those that this computer's
                installation is to blame for do not count.
        """
        self._profile = profile
        self._planner = planner
        self._slot = slot
        self._kinds = frozenset(kinds)
        self._failures_allowed = failures_allowed
        self._changed = threading.Condition()
        self._assembler = ObservationAssembler(profile, late_after_s)
        self._cadence = Cadence()
        self._episode = EpisodeFacts()
        self._sample = zero_observation(profile)
        self._warm: LoadedWeights | None = None
        self._planning = self._stopping = False
        self._failures = 0
        self.trouble = ''
        """Why the last inference gave no chunk; empty: it did."""

    # What arrives -------------------------------------------------------------------------------

    def put_image(self, camera: str, stamp_ns: int, jpeg: bytes) -> None:
        """Take a camera frame."""
        with self._changed:
            self._assembler.put_image(camera, stamp_ns, jpeg)
            newest_ns = self._assembler.newest_stamp_ns()
            if newest_ns is not None:
                self._cadence.observed(newest_ns)
            self._changed.notify_all()

    def put_joint_state(
        self,
        stamp_ns: int,
        names: Sequence[str],
        position: Sequence[float],
        velocity: Sequence[float],
    ) -> None:
        """Take a joint state."""
        with self._changed:
            self._assembler.put_joint_state(stamp_ns, names, position, velocity)
            self._changed.notify_all()

    def change_episode(self, episode: EpisodeFacts) -> None:
        """Take the episode's state; weights that wait are swapped in at its boundary."""
        with self._changed:
            boundary = not episode.running or episode.episode_id != self._episode.episode_id
            self._slot.episode(episode.running, boundary)
            self._episode = episode
            self._changed.notify_all()

    def change_executing(self, executing: bool, replan_after_ns: int | None) -> None:
        """Say whether the arbiter executes plans, and from when on it wants a new one at once."""
        with self._changed:
            if replan_after_ns is not None:
                self._planner.replan_after(replan_after_ns)
            self._planner.executing = executing

    def executed(self, chunk_id: int, step: int, age_s: float) -> None:
        """Take a control tick of the policy."""
        with self._changed:
            self._cadence.executed(chunk_id, step, age_s)

    def plan(self, on: bool) -> None:
        """Plan from now on, or no more."""
        with self._changed:
            self._planning = on
            self._changed.notify_all()

    def wake(self) -> None:
        """Look at the weights in use: there may be others."""
        with self._changed:
            self._changed.notify_all()

    def stop(self) -> None:
        """End `run`."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    # What can be asked --------------------------------------------------------------------------

    @property
    def warm(self) -> bool:
        """Whether the weights in use have run once; True without weights."""
        with self._changed:
            active = self._slot.active
            return active is None or active is self._warm

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called; the thread may be at work still."""
        return self._stopping

    def sample(self, known_instruction: str) -> Observation:
        """Something to try weights on: the last observation that was planned from, or a black one with an instruction
        they know.
        """
        if self._sample.instruction:
            return self._sample
        return replace(self._sample, instruction=known_instruction)

    def report(self, now_ns: int) -> tuple[list[str], CadenceReport]:
        """One sentence for each stream at fault at `now_ns` (robot clock), and the cadence."""
        with self._changed:
            return self._assembler.faults(now_ns), self._cadence.report()

    # The thread ---------------------------------------------------------------------------------

    def run(self, told: Told) -> None:
        """Work until `stop`."""
        tried_ns: int | None = None
        while True:
            with self._changed:
                if self._stopping:
                    return
                weights = self._slot.active
                cold = weights is not self._warm
                taken = None if cold or weights is None else self._due(tried_ns)
                episode = self._episode
                if weights is None or not (cold or taken):
                    self._changed.wait(IDLE_WAIT_S)
                    continue
            if taken is None:
                self._warm_up(weights, told)
                continue
            tried_ns = taken[0]
            observation = self._decoded(taken, episode.instruction)
            if observation is not None:
                self._plan(weights, observation, episode.episode_id, told)

    def _due(self, tried_ns: int | None) -> Taken | None:
        episode = self._episode
        if not (self._planning and episode.running and episode.kind in self._kinds):
            return None
        taken = self._assembler.take()
        if taken is None or taken[0] == tried_ns or taken[0] < episode.started_ns:
            return None
        return taken if self._planner.due(taken[0], episode.episode_id) else None

    def _warm_up(self, weights: LoadedWeights, told: Told) -> None:
        version = weights.manifest.version
        shape = (self._profile.horizon, len(self._profile.joints))
        self._failures = 0  # those of the weights before are not theirs
        self.trouble = ''
        try:
            known = weights.instruction
            check_policy(weights.policy, version, self.sample(known), shape, known)
        except WeightsRefused as refused:
            told.failed(weights, str(refused))
        else:
            told.active(weights)
        with self._changed:
            self._warm = weights

    def _decoded(self, taken: Taken, instruction: str) -> Observation | None:
        stamp_ns, jpegs, state = taken
        try:
            images = decode_images(self._profile, jpegs)
        except StreamError as error:
            camera, _, reason = str(error).partition(': ')
            with self._changed:
                self._assembler.note_bad_image(camera, reason)
            return None
        with self._changed:
            for name in images:
                self._assembler.note_bad_image(name, None)
        return Observation(stamp_ns, images, state, instruction)

    def _plan(
        self, weights: LoadedWeights, observation: Observation, episode_id: str, told: Told
    ) -> None:
        version = weights.manifest.version
        began = time.monotonic()
        try:
            plan = self._planner.plan(weights.policy, version, observation, episode_id)
        except InstallationError as error:  # no other weights would do better
            trouble = f'version {version}: {error}'
            if trouble != self.trouble:  # said once, not at every observation
                self.trouble = trouble
                told.rejected(trouble)
            return
        except ChunkRejected as error:
            self._sample = observation
            self._failures += 1
            self.trouble = f'version {version}: {error}'
            told.rejected(self.trouble)
            if self._failures >= self._failures_allowed:
                self._failures = 0
                told.failed(weights, str(error))
            return
        self._sample = observation
        self._failures = 0
        self.trouble = ''
        seconds = time.monotonic() - began
        with self._changed:
            self._cadence.inferred(seconds)
        told.planned(plan, seconds)
