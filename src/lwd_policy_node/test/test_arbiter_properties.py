"""Random events against the arbiter: limits, continuity and ownership hold whatever arrives."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lwd_policy_node.control import (
    Arbiter,
    ArbiterConfig,
    Chunk,
    Clamp,
    EpisodeState,
    Output,
    Source,
    Teleop,
)
from lwd_policy_node.control.motion import EARLY, STANDSTILL
from lwd_policy_node.profile import load_profile

PROFILE = load_profile('g1_laptop')
DT = PROFILE.control_period_s
LOWER, UPPER = PROFILE.limits('lower'), PROFILE.limits('upper')
VELOCITY, ACCELERATION = PROFILE.limits('velocity'), PROFILE.limits('acceleration')
A = len(LOWER)
GRIPPER = np.array([name.startswith('gripper') for name in PROFILE.joint_names])


class Storm:
    """Feeds one arbiter random events and checks every output against what was sent in."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.config = ArbiterConfig(
            acceleration_scale=float(self.rng.choice([1.0, 12.0])),
            blend_s=float(self.rng.choice([0.0, 0.15])),
            episode_timeout_s=float(self.rng.choice([0.0, 0.2, 2.0])),
        )
        self.arbiter = Arbiter(PROFILE, self.config)
        self.now = float(self.rng.uniform(1.0, 1e6))
        self.steady = float(self.rng.uniform(0.0, 1e6))
        self.beat_s = -math.inf  # the newest sign of life of the policy
        self.answer_s = -math.inf  # the newest question that its middleware answered
        self.policy_lives = True
        self.watch_s = -math.inf  # the newest sign of life of who ends the episode
        self.measured = self.rng.uniform(LOWER, UPPER)
        self.seen = self.measured
        self.seen_s = -math.inf
        self.unseen = False  # at the last output
        self.episode = EpisodeState('', False, self.now)
        self.estop = False
        self.allowed = Source.POLICY
        self.released_s = -math.inf  # last time a human or the e-stop let go
        self.chunk_id = 0
        self.sent: dict[int, Chunk] = {}
        self.last: Output | None = None
        self.velocity = np.zeros(A)
        self.outputs = 0

    def run(self, events: int) -> None:
        actions = (self.tick, self.chunk, self.teleop, self.change_episode, self.other)
        for kind in self.rng.choice(5, size=events, p=[0.55, 0.15, 0.2, 0.05, 0.05]):
            actions[kind]()

    # Events -------------------------------------------------------------------------------------

    def wishes(self, rows: int) -> np.ndarray:
        rng = self.rng
        near = self.measured + rng.normal(0, rng.choice([0.01, 0.3, 3.0]), (rows, A))
        if rng.random() < 0.1:
            near[rng.integers(rows), rng.integers(A)] = rng.choice([math.nan, math.inf])
        return near[:, : A - 1] if rng.random() < 0.03 else near

    def chunk(self) -> None:
        rng = self.rng
        self.chunk_id += 1
        name = self.episode.episode_id if rng.random() < 0.9 else 'other'
        stamp = self.now - float(rng.choice([0.0, DT, 5 * DT, 20 * DT, -1.0, math.nan]))
        chunk = Chunk(
            stamp_s=stamp,
            episode_id=name,
            chunk_id=self.chunk_id,
            policy_version=int(rng.integers(1, 9)),
            step_s=DT
            if rng.random() < 0.95
            else float(rng.choice([0.0, -1.0, math.nan, 1e-12, 5e-324])),
            actions=self.wishes(16),
        )
        self.sent[self.chunk_id] = chunk
        self.arbiter.on_chunk(chunk, self.now)

    def teleop(self) -> None:
        rng = self.rng
        command = Teleop(
            stamp_s=self.now - float(rng.choice([0.0, 0.0, 0.0, 0.1, 1.0, -2.0])),
            deadman=bool(rng.random() < 0.7),
            position=self.wishes(1)[0],
            reason=str(rng.choice(['operator', 'stall', ''])),
        )
        self.arbiter.on_teleop(command, self.now)

    def change_episode(self) -> None:
        running = bool(self.rng.random() < 0.7)
        name = f'e{self.rng.integers(10)}'
        self.episode = EpisodeState(name, running, self.now)
        self.arbiter.on_episode(self.episode)

    def other(self) -> None:
        choice = self.rng.random()
        if choice < 0.15:
            self.allowed = Source(self.rng.choice(3, p=[0.2, 0.6, 0.2]))
            self.arbiter.allow(self.allowed, self.now)
            self.released_s = max(self.released_s, self.now)
        elif choice < 0.25:
            self.arbiter.estop('storm')
            self.estop = True
        elif choice < 0.6:
            self.arbiter.resume()
            self.estop = False
        elif choice < 0.7:
            self.measured = self.rng.uniform(LOWER, UPPER)  # somebody moved the robot
        elif choice < 0.78:
            self.now += float(self.rng.choice([-50.0, -DT / 2, 0.3, 100.0]))  # the clock stepped
        elif choice < 0.85:
            self.policy_lives = not self.policy_lives  # killed, and started again
        elif choice < 0.9:
            self.notice_clock()
            self.arbiter.on_joint_state(self.now, np.full(A, math.nan), self.now)
        else:
            self.notice_clock()
            self.arbiter.on_joint_state(self.now, np.zeros(3), self.now)

    def notice_clock(self) -> None:
        """Once the clock has stepped back, the robot was not seen until it is seen on the new one."""
        if self.last is not None and self.now < self.last.stamp_s - DT:
            self.seen_s, self.unseen = -math.inf, True

    def tick(self) -> None:
        lasts_s = DT * float(self.rng.choice([1.0, 1.0, 1.0, 0.3, 1.7, 0.05]))
        self.now += lasts_s
        self.steady += lasts_s
        self.beat()
        self.notice_clock()
        if self.rng.random() < 0.9:
            refused = self.arbiter.on_joint_state(self.now, self.measured.copy(), self.now)
            self.seen = self.seen if refused else self.measured
            self.seen_s = self.seen_s if refused else self.now
        urgent = self.arbiter.urgent(self.now, self.steady)
        output = self.arbiter.tick(self.now, self.steady)
        if output is not None:
            self.check(output, urgent)

    def beat(self) -> None:
        """A sign of life: in time, late, repeated out of order, or none."""
        if self.rng.random() < 0.15:
            self.watch_s = self.steady
            self.arbiter.episode_heartbeat.beat(self.watch_s)
        if not self.policy_lives or self.rng.random() < 0.2:
            return
        at_s = self.steady - DT * float(self.rng.choice([0.0, 0.1, 0.3, 1.3, 1.5, 30.0]))
        if self.rng.random() < 0.3:  # only the middleware is in time
            self.arbiter.heartbeat.answer(at_s)
            self.answer_s = max(self.answer_s, at_s)
            return
        self.arbiter.heartbeat.beat(at_s)
        self.beat_s = max(self.beat_s, at_s)

    # What must hold -----------------------------------------------------------------------------

    def check(self, output: Output, urgent: bool) -> None:
        self.outputs += 1
        resting = bool(np.abs(self.velocity).max() < STANDSTILL)
        position = output.position
        assert np.isfinite(position).all()
        assert (position >= LOWER).all() and (position <= UPPER).all()
        elapsed = (output.stamp_s - self.last.stamp_s) / DT if self.last else 1.0
        lasted_s = DT * (elapsed if 0.0 < elapsed < EARLY else 1.0)  # an early tick moves less
        if self.last is not None and not output.reseeded:
            velocity = (position - self.last.position) / lasted_s
            jump = np.abs(velocity - self.velocity) / DT
            limit = ACCELERATION * self.config.acceleration_scale
            assert (np.abs(velocity) <= VELOCITY + 1e-9).all()
            assert (jump <= limit + 1e-6).all()
            self.velocity = velocity
        else:
            assert (
                self.last is None
                or not (self.last.source is Source.ESTOP and self.estop)
                or self.unseen
            )
            # the first command after a seed starts from rest at the measured position, but for a grip kept
            start = self.seen.copy()
            if self.last is not None and self.unseen:
                near = (
                    np.abs(start - self.last.position)[~GRIPPER].max()
                    <= self.config.reseed_error_rad
                )
                start[GRIPPER] = self.last.position[GRIPPER] if near else start[GRIPPER]
            moved = (position - start) / DT
            assert (
                np.abs(moved) <= ACCELERATION * self.config.acceleration_scale * DT + 1e-6
            ).all()
            self.velocity = moved
        self.check_provenance(output)
        self.check_heartbeat(output, urgent)
        self.check_seen(output, resting)
        self.last = output

    def check_seen(self, output: Output, resting: bool) -> None:
        """Nobody moves a robot that is not seen; it is sent nothing once its target rests."""
        stale = self.now - self.seen_s > self.config.joint_state_timeout_s
        assert output.sent == (not stale or not resting)
        if stale:
            assert output.source in (Source.HOLD, Source.ESTOP)
            assert not output.reseeded
        self.unseen = stale or (self.unseen and not resting)

    def check_heartbeat(self, output: Output, urgent: bool) -> None:
        """A silent policy never moves the robot, and only a silent one is held for it."""
        timeout_s = self.config.policy_timeout_s
        beat_age_s, answer_age_s = self.steady - self.beat_s, self.steady - self.answer_s
        bridged = answer_age_s <= timeout_s and beat_age_s <= self.config.policy_busy_s
        alive = beat_age_s <= timeout_s or bridged
        assert alive or output.source is not Source.POLICY
        watch_s = self.config.episode_timeout_s
        watched = watch_s == 0.0 or self.steady - self.watch_s <= watch_s
        assert watched or output.source is not Source.POLICY
        assert not (watched and output.reason == 'no_episode_node')
        assert not (alive and output.reason == 'silent_policy')
        owner = self.last.source if self.last is not None else Source.HOLD
        taken = output.source is Source.HUMAN and owner is not Source.HUMAN
        lost = output.reason == 'silent_policy' and owner is Source.POLICY
        stepped_back = self.last is None or self.now < self.last.stamp_s
        assert stepped_back or urgent == (taken or lost)

    def check_provenance(self, output: Output) -> None:
        assert (output.source is Source.ESTOP) == self.estop
        if output.source in (Source.POLICY, Source.HUMAN):
            allowed = {Source.HOLD: (), Source.HUMAN: (Source.HUMAN,)}
            assert output.source in allowed.get(self.allowed, (Source.POLICY, Source.HUMAN))
        if output.source is Source.POLICY:
            chunk = self.sent[output.chunk_id]
            assert self.episode.running and chunk.episode_id == self.episode.episode_id
            assert chunk.stamp_s >= self.released_s - 1e-9  # stamps are whole nanoseconds
            assert output.policy_version == chunk.policy_version
            np.testing.assert_array_equal(output.wish, chunk.actions[output.chunk_step])
            assert output.observation_age_s == pytest.approx(self.now - chunk.stamp_s)
            assert output.observation_age_s <= self.config.max_observation_age_s
        else:
            assert (output.chunk_id, output.chunk_step, output.policy_version) == (0, 0, 0)
            assert math.isnan(output.observation_age_s)
            assert output.reason
        changed_wish = np.abs(output.wish - output.position) > 1e-6
        assert not (changed_wish & (output.clamps == Clamp.NONE)).any()
        owner = self.last.source if self.last is not None else None
        owned = (Source.HUMAN, Source.ESTOP)
        if owner in owned and output.source is not owner:
            self.released_s = self.now
        if self.now < self.released_s:
            self.released_s = -math.inf  # the clock stepped back


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_storm_of_events(seed: int) -> None:
    """400 random events at a time: a few thousand per run."""
    storm = Storm(seed)
    storm.run(400)
    assert storm.outputs > 20


@pytest.mark.long
@settings(max_examples=2500, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_storm_of_a_million_events(seed: int) -> None:
    """The same, 10^6 events."""
    Storm(seed).run(400)


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('acceleration', 0.0),
        ('acceleration', math.nan),
        ('velocity', math.nan),
        ('lower', math.nan),
        ('upper', math.nan),
    ],
)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_target_that_cannot_be_computed_stops_the_robot(
    field: str, value: float, seed: int
) -> None:
    """The last line of defence, for limits that no profile is loaded with: finite targets, an e-stop that nobody
    can leave, the joint where it was.
    """
    rng = np.random.default_rng(seed)
    joints = list(PROFILE.joints)
    broken = int(rng.integers(A))
    joints[broken] = replace(joints[broken], **{field: value})
    arbiter = Arbiter(replace(PROFILE, joints=tuple(joints)))
    measured = rng.uniform(LOWER, UPPER)
    outputs = []
    with np.errstate(all='ignore'):
        for tick in range(40):
            now = 10.0 + tick * DT
            arbiter.on_joint_state(now, measured, now)
            wish = measured + rng.normal(0, 0.3, A)
            arbiter.on_teleop(Teleop(now, bool(rng.random() < 0.7), wish, 'operator'), now)
            if rng.random() < 0.2:
                assert not arbiter.resume() or tick == 0
            output = arbiter.tick(now, now)
            assert output is not None and np.isfinite(output.position).all()
            assert output.position[broken] == measured[broken]
            outputs.append(output)
    assert joints[broken].name in arbiter.fault
    assert {output.source for output in outputs[1:]} == {Source.ESTOP}
    assert outputs[-1].reason == 'non_finite_target'
