"""A policy whose process falls silent loses the robot, and only while it is silent."""

from __future__ import annotations

import itertools
import time

import numpy as np
from lwd_policy_node.control import (
    Arbiter,
    ArbiterConfig,
    Chunk,
    EpisodeState,
    Output,
    Source,
    Teleop,
)
from lwd_policy_node.control.heartbeat import Heartbeat
from lwd_policy_node.nodes.arbiter_parameters import PARAMETERS, arbiter_config
from lwd_policy_node.nodes.polling import arrival_s
from lwd_policy_node.profile import load_profile

PROFILE = load_profile('g1_laptop')
DT = PROFILE.control_period_s
HOME = PROFILE.home
TIMEOUT_S = ArbiterConfig().policy_timeout_s


class Bench:
    """An arbiter that executes a plan of a whole second, looked at twice a period."""

    def __init__(self, **config: float) -> None:
        self.arbiter = Arbiter(PROFILE, ArbiterConfig(max_observation_age_s=10.0, **config))
        self.now, self.steady = 100.0, 7.0
        self.chunk_id = 0
        self.tick(DT)
        self.arbiter.on_episode(EpisodeState('e1', True, self.now))
        assert self.plan() == ''

    def plan(self) -> str:
        self.chunk_id += 1
        rise = 0.004 * np.arange(30)[:, None] * np.ones(len(HOME))
        return self.arbiter.on_chunk(
            Chunk(self.now, 'e1', self.chunk_id, 1, DT, HOME + rise), self.now
        )

    def wait(self, after_s: float) -> None:
        self.now += after_s
        self.steady += after_s
        self.arbiter.on_joint_state(self.now, HOME, self.now)

    def tick(self, after_s: float, *, beat: bool = True, watched: bool = True) -> Output:
        self.wait(after_s)
        if watched:
            self.arbiter.episode_heartbeat.beat(self.steady)
        if beat:
            self.arbiter.heartbeat.beat(self.steady)
        output = self.arbiter.tick(self.now, self.steady)
        assert output is not None
        return output


def test_a_silent_policy_is_held_within_two_periods_whenever_it_stops() -> None:
    """Stopped just after a sign of life, at any point of a period; the two looks of a period are enough."""
    for share in np.linspace(0.0, 0.999, 40):
        bench = Bench()
        for _ in range(5):
            assert bench.tick(DT).source is Source.POLICY
        stopped_s = bench.steady + share * DT
        bench.arbiter.heartbeat.beat(stopped_s)
        looks = itertools.cycle((False, True))  # in mid-period, and at the tick
        while bench.arbiter.source is Source.POLICY:
            bench.wait(DT / 2)
            if bench.arbiter.urgent(bench.now, bench.steady) or next(looks):
                output = bench.arbiter.tick(bench.now, bench.steady)
        assert output is not None
        assert (output.source, output.reason) == (Source.HOLD, 'silent_policy')
        assert bench.steady - stopped_s <= 2 * DT
        assert bench.steady - stopped_s > TIMEOUT_S


def test_a_late_sign_of_life_costs_a_tick_and_the_plan_goes_on() -> None:
    """The same chunk, no jump, and both are counted; a human is obeyed all the while."""
    bench = Bench()
    outputs = [bench.tick(DT) for _ in range(8)]
    outputs.append(bench.tick(DT, beat=False))
    assert outputs[-1].source is Source.POLICY
    outputs.append(bench.tick(DT, beat=False))
    assert (outputs[-1].source, outputs[-1].reason) == (Source.HOLD, 'silent_policy')
    outputs += [bench.tick(DT) for _ in range(8)]
    assert all(o.source is Source.POLICY and o.chunk_id == 1 for o in outputs[-8:])
    assert (bench.arbiter.silences, bench.arbiter.silences_ended) == (1, 1)
    assert bench.arbiter.heartbeat.take_longest_gap_s() > 2 * DT
    change = np.abs(np.diff([o.position for o in outputs], n=2, axis=0)) / DT**2
    assert (change <= PROFILE.limits('acceleration') + 1e-6).all()

    for _ in range(3):
        bench.tick(DT, beat=False)
    bench.arbiter.on_teleop(Teleop(bench.now, True, HOME, 'stall'), bench.now)
    assert bench.tick(DT, beat=False).source is Source.HUMAN
    assert (bench.arbiter.silences, bench.arbiter.silences_ended) == (2, 1)


def test_a_silent_policy_stays_silent_when_its_plan_ends_and_needs_a_new_one() -> None:
    """Heard again too late, it is the plan that is stale."""
    bench = Bench()
    bench.tick(DT)
    reasons = {bench.tick(DT, beat=False).reason for _ in range(40)}
    assert reasons == {'', 'silent_policy'}
    assert bench.tick(DT).reason == 'stale_chunk'
    assert bench.plan() == ''
    assert bench.tick(DT).source is Source.POLICY


def test_an_episode_that_nobody_watches_is_no_leave_to_drive() -> None:
    """Its process could not end it: the policy is held until it is heard again, a human is obeyed all the while."""
    bench = Bench()
    bench.tick(DT)
    heard_s = bench.steady
    while (output := bench.tick(DT, watched=False)).source is Source.POLICY:
        assert bench.plan() == ''
    assert (output.source, output.reason) == (Source.HOLD, 'no_episode_node')
    timeout_s = bench.arbiter.config.episode_timeout_s
    assert timeout_s < bench.steady - heard_s < timeout_s + 2 * DT
    bench.arbiter.on_teleop(Teleop(bench.now, True, HOME, 'stall'), bench.now)
    assert bench.tick(DT, watched=False).source is Source.HUMAN
    bench.arbiter.on_teleop(Teleop(bench.now, False, HOME, ''), bench.now)
    assert bench.tick(DT, watched=False).reason == 'no_episode_node'
    bench.tick(DT)
    assert bench.plan() == ''
    assert bench.tick(DT).source is Source.POLICY
    assert bench.arbiter.silences == 0


def test_an_arbiter_may_be_told_not_to_wait_for_an_episode_node() -> None:
    bench = Bench(episode_timeout_s=0.0)
    for _ in range(200):
        assert bench.tick(DT, watched=False).source is Source.POLICY
        assert bench.plan() == ''


def test_the_robots_clock_has_no_say() -> None:
    """It may step; the process lives on the machine's."""
    bench = Bench()
    bench.tick(DT)
    bench.now -= 50.0
    bench.tick(DT)
    bench.tick(DT)
    assert bench.plan() == ''
    assert bench.tick(DT).source is Source.POLICY
    assert bench.arbiter.silences == 0


def test_answers_bridge_late_signs_of_life_and_do_not_replace_them() -> None:
    """A policy that answers is busy; one that never beat, or has not for too long, is not there."""
    heart = Heartbeat(0.05, 0.5)
    heart.answer(1.0)
    assert not heart.alive(1.0)
    heart.beat(1.0)
    for late_s in np.arange(0.0, 0.45, 0.02):
        heart.answer(1.0 + late_s)
        heart.answer(0.5)
        assert heart.alive(1.0 + late_s + 0.049)
    heart.answer(1.52)
    assert not heart.alive(1.52)
    heart.beat(1.53)
    assert heart.alive(1.53)
    assert not heart.alive(1.59), 'neither'


def test_heartbeat_by_hand() -> None:
    """Nothing heard is silence; an older sign of life changes nothing; gaps are reported once."""
    heart = Heartbeat(0.05, 0.5)
    assert not heart.alive(0.0)
    heart.beat(1.0)
    heart.beat(0.9)
    assert heart.alive(1.04) and not heart.alive(1.051)
    heart.beat(1.3)
    heart.beat(1.31)
    assert round(heart.take_longest_gap_s(), 9) == 0.3
    assert heart.take_longest_gap_s() == 0.0


def test_the_time_out_follows_the_control_rate_and_the_simulation() -> None:
    """By default 1.4 control periods; a simulation's machine is busier."""
    values = {row.name: row.default for row in PARAMETERS}

    def timeout_s(period_s: float, *, simulated: bool = False, **given: float) -> float:
        config = arbiter_config(values | given, period_s=period_s, simulated=simulated)
        return round(config.policy_timeout_s, 9)

    assert timeout_s(0.02) == 0.028
    assert timeout_s(0.02, simulated=True) == 0.084
    assert timeout_s(0.02, policy_timeout_s=0.2) == 0.2
    assert timeout_s(0.02, policy_timeout_s=0.2, simulation_slack=2.0, simulated=True) == 0.4


def test_sign_of_life_of_a_middleware_that_does_not_say_when_it_came_counts_from_now() -> None:
    """Not from 1970, which no policy would survive; one that says so is believed, but for a time to come."""
    before_s = time.monotonic()
    unknown_s = arrival_s(0)
    ahead_s = arrival_s(time.time_ns() + 5_000_000_000)
    late_s = arrival_s(time.time_ns() - 60_000_000_000)
    after_s = time.monotonic()
    assert before_s <= unknown_s <= ahead_s <= after_s
    assert before_s - 61.0 < late_s < after_s - 59.0
    heartbeat = Heartbeat(TIMEOUT_S, 0.5)
    heartbeat.beat(unknown_s)
    assert heartbeat.alive(unknown_s + 0.5 * TIMEOUT_S)
