"""Who moves the robot: ESTOP > HUMAN > POLICY > HOLD, decided anew at every control tick.

No torch, no ROS: `arbiter_node` feeds it and publishes what it answers, the property tests drive
it with random events.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from lwd_policy_node.control.arbiter_config import ArbiterConfig
from lwd_policy_node.control.chunk_clock import ChunkClock, DueStep
from lwd_policy_node.control.heartbeat import Heartbeat
from lwd_policy_node.control.measured import Measured
from lwd_policy_node.control.motion import Motion
from lwd_policy_node.control.priority import SILENT_POLICY, Situation, decide
from lwd_policy_node.control.signals import (
    Chunk,
    EpisodeState,
    Output,
    Source,
    Teleop,
    Vector,
)
from lwd_policy_node.profile import RobotProfile

GRIPPER_PREFIX = 'gripper'  # joints that may rest far from their target: they hold things


class Arbiter:
    """The state machine. Feed it events in any order, call `tick` at the control rate."""

    def __init__(self, profile: RobotProfile, config: ArbiterConfig | None = None) -> None:
        """Limits, rates and joint order come from `profile`."""
        self.config = config or ArbiterConfig()
        self._period_s = profile.control_period_s
        self._names = profile.joint_names
        self._arm = np.array([not j.name.startswith(GRIPPER_PREFIX) for j in profile.joints])
        self._motion = Motion(profile, self.config)
        self._chunks = ChunkClock(
            len(profile.joints), future_tolerance_s=self.config.future_tolerance_s
        )
        self.heartbeat = Heartbeat(self.config.policy_timeout_s, self.config.policy_busy_s)
        """The policy's process: call `beat` at each sign of life."""
        self.episode_heartbeat = Heartbeat(self.config.episode_timeout_s or math.inf, 0.0)
        """The process that says when the episode ends: call `beat` at each sign of life."""
        self.rejected: Counter[str] = Counter()
        """How often an input was refused, by reason."""
        self.fault = ''
        """Why the arbiter stopped the robot by itself: a target that could not be computed; else empty."""
        self.silences = 0
        """How often the policy lost the robot because its process fell silent."""
        self.silences_ended = 0
        """Of these, how often it was heard again in time to go on with its plan."""
        self._tick = 0
        self._seeded = False
        self._unseen = (
            True  # since the target was last taken from, or followed by, a robot that was seen
        )
        self._check_seed_at_s = math.inf
        self._last_tick_s = -math.inf
        self._measured = Measured(
            profile.home,
            timeout_s=self.config.joint_state_timeout_s,
            future_tolerance_s=self.config.future_tolerance_s,
        )
        self._teleop: Teleop | None = None
        self._episode = EpisodeState('', False, -math.inf)
        self._not_before_s = -math.inf
        self._handed_back = False
        self._allowed = Source.POLICY
        self._estop = ''
        self._source = self._previous = Source.HOLD
        self._reason = ''
        self._takeovers = 0

    # Inputs -------------------------------------------------------------------------------------

    def on_joint_state(self, stamp_s: float, position: Vector, now_s: float) -> str:
        """Take measured positions, shape (A,); returns why they were refused, or nothing."""
        self._look_at_clock(now_s)
        reason = self._measured.offer(stamp_s, position, now_s)
        return self._refuse(f'state_{reason}') if reason else ''

    def on_chunk(self, chunk: Chunk, now_s: float) -> str:
        """Take a chunk; returns why it was refused (see `ChunkClock.offer`), or nothing."""
        name = self._episode.episode_id if self._episode.running else ''
        start_s = self._not_before_s
        reason = self._chunks.offer(chunk, now_s=now_s, episode_id=name, not_before_s=start_s)
        return self._refuse(f'chunk_{reason}') if reason else ''

    def on_teleop(self, command: Teleop, now_s: float) -> str:
        """Take a human's command; returns why it was refused, or nothing.

        A command of the wrong size or with non-finite joints still shows that a human holds the
        deadman: it takes control and holds what cannot be obeyed.
        """
        if not math.isfinite(command.stamp_s):
            return self._refuse('teleop_non_finite')
        if command.stamp_s > now_s + self.config.future_tolerance_s:
            return self._refuse('teleop_future_stamp')
        if self._teleop is not None and command.stamp_s < self._teleop.stamp_s:
            return self._refuse('teleop_out_of_order')
        if command.deadman and command.stamp_s < now_s - self.config.teleop_timeout_s:
            return self._refuse('teleop_stale')
        self._teleop = command
        return ''

    def on_episode(self, episode: EpisodeState) -> None:
        """Take the episode's state. A new one voids every chunk and the takeover count."""
        before = self._episode
        self._episode = episode
        if episode.running and (not before.running or before.episode_id != episode.episode_id):
            self._chunks.clear()
            self._not_before_s = max(self._not_before_s, episode.started_s)
            self._handed_back = False
            self._takeovers = int(self._source is Source.HUMAN)
            self._check_seed_at_s = episode.started_s
        elif not episode.running:
            self._chunks.clear()

    def estop(self, reason: str) -> None:
        """Stop and hold until `resume`."""
        self._estop = reason or 'estop'

    def resume(self) -> bool:
        """Leave the e-stop; False when none was latched, or it is for a `fault`. Chunks made before now are void."""
        if self.fault:
            return False
        latched = bool(self._estop)
        self._estop = ''
        return latched

    def allow(self, source: Source, now_s: float) -> None:
        """Say who may move the robot from now on; chunks made before now are void.

        Args:
            source: HOLD nobody, HUMAN a human only, POLICY the policy and a human.
            now_s: robot clock.

        Raises:
            ValueError: ESTOP, which is entered by `estop` and left by `resume` alone.
        """
        if source is Source.ESTOP:
            raise ValueError('the e-stop is no mode: call estop and resume')
        self._allowed = source
        self._chunks.clear()
        self._not_before_s = max(self._not_before_s, now_s)

    # Output -------------------------------------------------------------------------------------

    @property
    def source(self) -> Source:
        """Who moved the robot at the last tick."""
        return self._source

    def urgent(self, now_s: float, steady_s: float) -> bool:
        """Whether the robot should not wait for its next tick: a human would get it, or a policy whose
        process is silent lose it.
        """
        if self._source is Source.HUMAN or not self._seeded:
            return False
        met = self._measured.fresh(now_s) and (not self._unseen or self._motion.at_rest)
        source, reason, _ = self._decide(now_s, steady_s, met)
        lost = self._source is Source.POLICY and reason == SILENT_POLICY
        return source is Source.HUMAN or lost

    def tick(self, now_s: float, steady_s: float) -> Output | None:
        """Decide one control tick.

        Args:
            now_s: robot clock.
            steady_s: the clock of `heartbeat` and `episode_heartbeat`.

        Returns:
            What to send, if `Output.sent`; None before the first joint state, and for a tick that comes less than a
            quarter period after the last one (sending it would double the speed).
        """
        self._look_at_clock(now_s)
        if now_s - self._last_tick_s < 0.25 * self._period_s:
            return None
        self._motion.lasts((now_s - self._last_tick_s) / self._period_s)
        self._last_tick_s = now_s
        fresh = self._measured.fresh(now_s)
        reseeded = self._seed_if_needed(fresh)
        if not self._seeded:
            return None

        sent = fresh or not self._motion.at_rest
        source, reason, due = self._decide(now_s, steady_s, not self._unseen)
        changed = source is not self._source or reason != self._reason
        if source is not self._source:
            self._switch(source, reason, now_s)
        self._reason = reason
        if source is Source.HUMAN and self._teleop is not None:
            position, wish, clamps = self._motion.human(self._teleop.position)
        elif due is not None:
            position, wish, clamps = self._motion.policy(due)
        else:
            position, wish, clamps = self._motion.hold()
        if (unsound := self._motion.unsound).any():
            names = ', '.join(self._names[joint] for joint in np.flatnonzero(unsound))
            self.fault = f'the target of {names} came out as NaN or infinite: compare its limits in the profile'
            self.estop('non_finite_target')
        chunk = self._chunks.chunk if due is not None else None
        self._tick += 1
        running = self._episode.running
        return Output(
            stamp_s=now_s,
            tick=self._tick,
            source=source,
            previous=self._previous,
            changed=changed,
            position=position,
            wish=wish,
            clamps=clamps,
            policy_version=chunk.policy_version if chunk else 0,
            chunk_id=chunk.chunk_id if chunk else 0,
            chunk_step=due.step if due else 0,
            observation_age_s=now_s - chunk.stamp_s if chunk else math.nan,
            reason=reason,
            episode_id=self._episode.episode_id if running else '',
            takeovers=self._takeovers,
            live=running or source is Source.HUMAN,
            reseeded=reseeded,
            sent=sent,
        )

    # Rules --------------------------------------------------------------------------------------

    def _decide(
        self, now_s: float, steady_s: float, fresh: bool
    ) -> tuple[Source, str, DueStep | None]:
        """Who moves the robot at this tick, why, and the policy's step if it does."""
        teleop = self._teleop
        recent_s = now_s - self.config.teleop_timeout_s
        due = self._chunks.due(now_s, max_age_s=self.config.max_observation_age_s)
        rule = decide(
            Situation(
                estop=bool(self._estop),
                state_fresh=fresh,
                human=teleop is not None and teleop.deadman and teleop.stamp_s >= recent_s,
                allowed=self._allowed,
                episode=self._episode.running,
                letting_go=self._source in (Source.HUMAN, Source.ESTOP),
                step_due=due is not None,
                chunk=self._chunks.chunk is not None,
                alive=self.heartbeat.alive(steady_s),
                watched=self.episode_heartbeat.alive(steady_s),
                handed_back=self._handed_back,
            )
        )
        given = {Source.ESTOP: self._estop, Source.HUMAN: teleop.reason if teleop else ''}
        due = due if rule.source is Source.POLICY else None
        return rule.source, given.get(rule.source, '') or rule.reason, due

    def _switch(self, source: Source, reason: str, now_s: float) -> None:
        left = self._source
        self._previous = left
        self._source = source
        if left in (Source.HUMAN, Source.ESTOP):
            self._chunks.clear()
            self._not_before_s = max(self._not_before_s, now_s)
            self._handed_back = True
        if source is Source.HUMAN:
            self._takeovers += 1
        self.silences += left is Source.POLICY and reason == SILENT_POLICY
        self.silences_ended += source is Source.POLICY and self._reason == SILENT_POLICY
        self._motion.change_source(blend=source in (Source.HUMAN, Source.POLICY))

    def _seed_if_needed(self, fresh: bool) -> bool:
        """Take the target from the measured position where the robot was moved without us."""
        if not fresh:
            self._unseen = True
            return False
        if not self._seeded:
            self._motion.seed(self._measured.position)
            self._seeded = True
            self._unseen = False
            return True
        if self._unseen:  # what was moving stops by the limits first
            return self._motion.at_rest and self._meet_again()
        if self._estop:
            return False
        idle = self._source is Source.HOLD and not self._episode.running
        starting = self._measured.stamp_s >= self._check_seed_at_s - 1e-6
        resuming = self._source is Source.ESTOP
        if not (idle or starting or resuming):
            return False
        if not self._motion.at_rest:  # a moving arm lags its target, and stops by the limits first
            if self._source in (Source.POLICY, Source.HUMAN):
                self._check_seed_at_s = math.inf
            return False
        self._check_seed_at_s = math.inf
        if not self._was_moved():
            return False
        self._motion.seed(self._measured.position)
        return True

    def _meet_again(self) -> bool:
        """Take the target from where a robot is that was not seen, e-stop or not; whether that changed it.

        Any difference would be a jump of the robot, but a gripper's, unless the robot was moved, is its grip.
        """
        self._unseen = False
        position = self._measured.position
        if self._was_moved():
            self._chunks.clear()  # made for a robot that was elsewhere
            self._not_before_s = max(self._not_before_s, self._measured.stamp_s)
        else:
            position = np.where(self._arm, position, self._motion.position)
        if np.array_equal(position, self._motion.position):
            return False
        self._motion.seed(position)
        return True

    def _was_moved(self) -> bool:
        """Whether an arm joint is too far from its target to have been sent there."""
        error = np.abs(self._measured.position - self._motion.position)[self._arm]
        return bool(error.max(initial=0.0) > self.config.reseed_error_rad)

    def _look_at_clock(self, now_s: float) -> None:
        """Once it has stepped back, nothing stamped on the old clock is of use on the new one."""
        if now_s >= self._last_tick_s - self._period_s:
            return
        self._unseen = True
        self._chunks.clear()
        self._teleop = None
        self._measured.forget(now_s)
        self._not_before_s = now_s
        self._check_seed_at_s = now_s
        self._last_tick_s = -math.inf

    def _refuse(self, reason: str) -> str:
        self.rejected[reason] += 1
        return reason
