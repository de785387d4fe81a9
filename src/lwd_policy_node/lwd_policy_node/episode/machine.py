"""idle -> running -> ended, one episode at a time.

An episode ends by a call (operator, gamepad, service), by the simulator's success held for a
moment, by its time limit, or because the clock it ran on is gone.
"""

from __future__ import annotations

import math
from dataclasses import replace

from lwd_policy_node.episode.record import KINDS, EpisodeRecord, Outcome, new_episode_id

SUCCESS_HOLD_S = 0.2
"""How long the simulator's success must last until it counts, robot clock: something that falls is no success yet."""


class EpisodeError(RuntimeError):
    """An episode cannot start or end now; the message says why and what to do."""


class EpisodeMachine:
    """The episode under way of one robot."""

    def __init__(self, robot_id: str, *, success_hold_s: float) -> None:
        """Success counts once it held for `success_hold_s` (robot clock)."""
        self._robot_id = robot_id
        self._success_hold_s = success_hold_s
        self._record: EpisodeRecord | None = None
        self._limit_s = math.inf
        self._success_since_s: float | None = None
        self.ended = 0
        """Episodes ended since start."""
        self.successes = 0
        """Of these, successes."""
        self.rollouts = 0
        """Of the episodes ended, roll-outs."""
        self.unaided = 0
        """Of these, the successes in which no human drove."""
        self._human = False  # drives now
        self._helped = False  # the episode under way, if one is

    @property
    def record(self) -> EpisodeRecord | None:
        """The episode that runs, or that ran last."""
        return self._record

    @property
    def running(self) -> EpisodeRecord | None:
        """The episode that runs."""
        return self._record if self._record is not None and self._record.running else None

    def start(
        self,
        *,
        task: str,
        instruction: str,
        kind: str,
        seed: int,
        now_s: float,
        wall_s: float,
        time_limit_s: float,
        steady_s: float | None = None,
    ) -> EpisodeRecord:
        """Begin an episode.

        Args:
            task, instruction, kind, seed: as in its record.
            now_s: robot clock.
            wall_s: time since 1970, for the id.
            time_limit_s: longest that it may take; 0 = no limit.
            steady_s: a clock that is never set, for the limit of a robot whose own clock may be; None = the robot's.

        Raises:
            EpisodeError: one runs already, or the kind is unknown.
        """
        self.check_startable(kind)
        began_s = now_s if steady_s is None else steady_s
        self._limit_s = began_s + time_limit_s if time_limit_s > 0.0 else math.inf
        self._success_since_s = None
        self._helped = self._human
        self._record = EpisodeRecord(
            episode_id=new_episode_id(self._robot_id, wall_s),
            robot_id=self._robot_id,
            task=task,
            instruction=instruction,
            kind=kind or 'rollout',
            seed=seed,
            started_s=now_s,
        )
        return self._record

    def check_startable(self, kind: str) -> None:
        """Raise EpisodeError when `start` would."""
        if self.running is not None:
            raise EpisodeError(
                f'episode {self.running.episode_id} is running; end it first with episode/end'
            )
        if kind and kind not in KINDS:
            raise EpisodeError(f'kind {kind!r} is unknown; one of: {", ".join(KINDS)}')

    def end(self, outcome: Outcome, ended_by: str, now_s: float) -> EpisodeRecord:
        """End the running episode with a label.

        Raises:
            EpisodeError: none runs.
        """
        running = self.running
        if running is None:
            raise EpisodeError('no episode is running; start one with episode/start')
        self._record = replace(running, ended_s=now_s, outcome=outcome, ended_by=ended_by)
        self.ended += 1
        self.successes += outcome is Outcome.SUCCESS
        if running.kind == 'rollout':
            self.rollouts += 1
            self.unaided += outcome is Outcome.SUCCESS and not self._helped
        return self._record

    def control(self, *, human: bool, helped: str = '') -> None:
        """Take whether a human drives, and the episode in which one has, if any: short spells are not seen themselves.

        An episode in which a human drives, be it since its start, is helped.
        """
        self._human = human
        known = self.running is not None and self.running.episode_id == helped
        self._helped = self._helped or human or known

    def observe(
        self, now_s: float, *, success: bool, steady_s: float | None = None
    ) -> EpisodeRecord | None:
        """Take the world's state at `now_s`; the record when that ended the episode. `steady_s` as at its start."""
        running = self.running
        if running is None:
            return None
        if now_s < running.started_s:
            return self.end(Outcome.ABORTED, 'clock', running.started_s)
        if not success:
            self._success_since_s = None
        elif self._success_since_s is None:
            self._success_since_s = now_s
        if (
            self._success_since_s is not None
            and now_s - self._success_since_s >= self._success_hold_s - 1e-6
        ):
            return self.end(Outcome.SUCCESS, 'simulator', now_s)
        if (now_s if steady_s is None else steady_s) >= self._limit_s:
            return self.end(Outcome.FAILURE, 'timeout', now_s)
        return None

    def adopt_lost(self, record: EpisodeRecord) -> EpisodeRecord:
        """Close an episode that another process of this robot left running."""
        self._record = replace(
            record, ended_s=record.started_s, outcome=Outcome.ABORTED, ended_by='restart'
        )
        self.ended += 1
        return self._record
