"""Who moves the robot: ESTOP > HUMAN > POLICY > HOLD, decided anew at every control tick.

No torch, no ROS: `arbiter_node` feeds it and publishes what it answers, the property tests drive
it with random events.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from lwd_policy_node.control.arbiter_config import ArbiterConfig
from lwd_policy_node.control.blend import Blend
from lwd_policy_node.control.chunk_clock import ChunkClock, DueStep
from lwd_policy_node.control.measured import Measured
from lwd_policy_node.control.priority import Situation, decide
from lwd_policy_node.control.safety_filter import SafetyFilter
from lwd_policy_node.control.signals import (
    Chunk,
    Clamp,
    EpisodeState,
    Flags,
    Output,
    Source,
    Teleop,
    Vector,
)
from lwd_policy_node.profile import RobotProfile

GRIPPER_PREFIX = 'gripper'  # joints that may rest far from their target: they hold things
EARLY = 0.75  # of a period: a tick this soon after the last moves the target by its share of one


class Arbiter:
    """The state machine. Feed it events in any order, call `tick` at the control rate."""

    def __init__(self, profile: RobotProfile, config: ArbiterConfig | None = None) -> None:
        """Limits, rates and joint order come from `profile`."""
        self.config = config or ArbiterConfig()
        self._size = len(profile.joints)
        self._period_s = profile.control_period_s
        self._arm = np.array([not j.name.startswith(GRIPPER_PREFIX) for j in profile.joints])
        scale, boxes = self.config.acceleration_scale, self.config.workspace
        self._filter = SafetyFilter(
            profile,
            acceleration_scale=scale,
            velocity_scale=self.config.velocity_scale,
            workspace=boxes,
        )
        self._blend = Blend(self.config.blend_s, self._period_s)
        self._chunks = ChunkClock(self._size, future_tolerance_s=self.config.future_tolerance_s)
        self.rejected: Counter[str] = Counter()
        """How often an input was refused, by reason."""
        self._tick = 0
        self._seeded = False
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
        self._last_wish: Vector | None = None
        self._takeovers = 0

    # Inputs -------------------------------------------------------------------------------------

    def on_joint_state(self, stamp_s: float, position: Vector, now_s: float) -> str:
        """Take measured positions, shape (A,); returns why they were refused, or nothing."""
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
        """Leave the e-stop; False when none was latched. Chunks made before now are void."""
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

    def takeover_due(self, now_s: float) -> bool:
        """Whether a tick now would give the robot to a human who does not have it yet."""
        if self._source is Source.HUMAN or not self._seeded:
            return False
        return self._decide(now_s, self._measured.fresh(now_s))[0] is Source.HUMAN

    def tick(self, now_s: float) -> Output | None:
        """Decide one control tick.

        Returns:
            What to send; None before the first joint state, and for a tick that comes less than a
            quarter period after the last one (sending it would double the speed).
        """
        if now_s < self._last_tick_s - self._period_s:
            self._clock_stepped_back(now_s)
        if now_s - self._last_tick_s < 0.25 * self._period_s:
            return None
        share = (now_s - self._last_tick_s) / self._period_s
        self._filter.share = share if share < EARLY else 1.0
        self._last_tick_s = now_s
        fresh = self._measured.fresh(now_s)
        reseeded = self._seed_if_needed(fresh)
        if not self._seeded:
            return None

        source, reason, due = self._decide(now_s, fresh)
        changed = source is not self._source or reason != self._reason
        if source is not self._source:
            self._switch(source, now_s)
        self._reason = reason
        position, wish, clamps = self._move(source, due)
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
        )

    # Rules --------------------------------------------------------------------------------------

    def _decide(self, now_s: float, fresh: bool) -> tuple[Source, str, DueStep | None]:
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
                handed_back=self._handed_back,
            )
        )
        given = {Source.ESTOP: self._estop, Source.HUMAN: teleop.reason if teleop else ''}
        due = due if rule.source is Source.POLICY else None
        return rule.source, given.get(rule.source, '') or rule.reason, due

    def _switch(self, source: Source, now_s: float) -> None:
        left = self._source
        self._previous = left
        self._source = source
        self._last_wish = None
        if left in (Source.HUMAN, Source.ESTOP):
            self._chunks.clear()
            self._not_before_s = max(self._not_before_s, now_s)
            self._handed_back = True
        if source is Source.HUMAN:
            self._takeovers += 1
        if source in (Source.HUMAN, Source.POLICY):
            self._blend.begin(self._filter.position)

    def _move(self, source: Source, due: DueStep | None) -> tuple[Vector, Vector, Flags]:
        """One target by the rules of `source`: (position, wish, clamps), each (A,)."""
        none = np.zeros(self._size, dtype=np.uint8)
        if source is Source.HUMAN and self._teleop is not None:
            wish = self._teleop.position
            if wish.shape != (self._size,):
                self._last_wish = None
                clamps = np.full(self._size, int(Clamp.WRONG_SIZE), dtype=np.uint8)
                return self._filter.brake(), np.full(self._size, np.nan), clamps
            return self._follow(wish, self._last_wish)
        if source is Source.POLICY and due is not None:
            return self._follow(due.wish, due.wish_before if due.step else self._last_wish)
        position = self._filter.brake()
        return position, position, none

    def _follow(self, wish: Vector, before: Vector | None) -> tuple[Vector, Vector, Flags]:
        if not self._blend.active:
            self._last_wish = wish
            position, clamps = self._filter.follow(wish, before)
            return position, wish, clamps
        blended = self._blend.apply(wish)
        position, clamps = self._filter.follow(blended, self._last_wish)
        self._last_wish = blended
        clamps[blended != wish] |= int(Clamp.BLEND)
        return position, wish, clamps

    def _seed_if_needed(self, fresh: bool) -> bool:
        """Take the target from the measured position where the robot was moved without us."""
        if not fresh:
            return False
        if not self._seeded:
            self._filter.seed(self._measured.position)
            self._seeded = True
            return True
        if self._estop:
            return False
        idle = self._source is Source.HOLD and not self._episode.running
        starting = self._measured.stamp_s >= self._check_seed_at_s - 1e-6
        resuming = self._source is Source.ESTOP
        if not (idle or starting or resuming):
            return False
        self._check_seed_at_s = math.inf
        error = np.abs(self._measured.position - self._filter.position)[self._arm]
        if error.size == 0 or error.max() <= self.config.reseed_error_rad:
            return False
        self._filter.seed(self._measured.position)
        self._blend.begin(self._measured.position)
        self._last_wish = None
        return True

    def _clock_stepped_back(self, now_s: float) -> None:
        """Nothing stamped on the old clock is of use on the new one."""
        self._chunks.clear()
        self._teleop = None
        self._measured.forget(now_s)
        self._not_before_s = now_s
        self._check_seed_at_s = now_s
        self._last_tick_s = -math.inf

    def _refuse(self, reason: str) -> str:
        self.rejected[reason] += 1
        return reason
