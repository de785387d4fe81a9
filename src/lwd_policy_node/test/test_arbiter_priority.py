"""The arbiter's table of rules: every situation has one owner, and which one is written down here again."""

from __future__ import annotations

import itertools
from dataclasses import fields

import numpy as np
import pytest
from lwd_policy_node.control import Arbiter, ArbiterConfig, Chunk, EpisodeState, Source, Teleop
from lwd_policy_node.control.priority import RULES, Situation, decide
from lwd_policy_node.profile import load_profile

PROFILE = load_profile('g1_laptop')
DT = PROFILE.control_period_s
QUIET = Situation(
    estop=False,
    state_fresh=True,
    human=False,
    allowed=Source.POLICY,
    episode=True,
    letting_go=False,
    step_due=False,
    chunk=False,
    alive=True,
    watched=True,
    handed_back=False,
)
NAMES = tuple(field.name for field in fields(Situation))
MODES = (Source.HOLD, Source.POLICY, Source.HUMAN)


def every_situation() -> list[Situation]:
    """A step that is due belongs to a chunk."""
    choices = [MODES if name == 'allowed' else (False, True) for name in NAMES]
    every = [Situation(*values) for values in itertools.product(*choices)]
    return [now for now in every if now.chunk or not now.step_due]


def changed(**values: object) -> Situation:
    return Situation(**({name: getattr(QUIET, name) for name in NAMES} | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('now', 'source', 'reason'),
    [
        (changed(), Source.HOLD, 'no_policy'),
        (changed(handed_back=True), Source.HOLD, 'handback'),
        (changed(chunk=True), Source.HOLD, 'stale_chunk'),
        (changed(chunk=True, step_due=True), Source.POLICY, ''),
        (changed(chunk=True, step_due=True, alive=False), Source.HOLD, 'silent_policy'),
        (changed(chunk=True, alive=False), Source.HOLD, 'silent_policy'),
        (changed(alive=False), Source.HOLD, 'no_policy'),
        (changed(alive=False, human=True), Source.HUMAN, 'operator'),
        (changed(chunk=True, step_due=True, watched=False), Source.HOLD, 'no_episode_node'),
        (changed(watched=False, human=True), Source.HUMAN, 'operator'),
        (changed(watched=False, episode=False), Source.HOLD, 'no_episode'),
        (changed(chunk=True, step_due=True, letting_go=True), Source.HOLD, 'handback'),
        (changed(chunk=True, step_due=True, allowed=Source.HUMAN), Source.HOLD, 'mode_human'),
        (changed(chunk=True, step_due=True, episode=False), Source.HOLD, 'no_episode'),
        (changed(chunk=True, step_due=True, human=True), Source.HUMAN, 'operator'),
        (changed(human=True, episode=False), Source.HUMAN, 'operator'),
        (changed(human=True, allowed=Source.HUMAN), Source.HUMAN, 'operator'),
        (changed(human=True, allowed=Source.HOLD), Source.HOLD, 'mode_hold'),
        (changed(human=True, state_fresh=False), Source.HOLD, 'stale_state'),
        (changed(human=True, state_fresh=False, estop=True), Source.ESTOP, 'estop'),
    ],
)
def test_the_table(now: Situation, source: Source, reason: str) -> None:
    """One row each, by hand."""
    rule = decide(now)
    assert (rule.source, rule.reason) == (source, reason)


def test_every_situation_has_the_owner_that_priority_gives_it() -> None:
    """All 2304 of them: ESTOP > HUMAN > POLICY > HOLD, each only where it may."""
    for now in every_situation():
        source = decide(now).source
        human_may = now.human and now.state_fresh and now.allowed is not Source.HOLD
        policy_may = (
            now.step_due
            and now.alive
            and now.watched
            and now.state_fresh
            and now.episode
            and not now.letting_go
            and now.allowed is Source.POLICY
        )
        if now.estop:
            assert source is Source.ESTOP
        elif human_may:
            assert source is Source.HUMAN
        elif policy_may:
            assert source is Source.POLICY
        else:
            assert source is Source.HOLD
        assert decide(now).reason or source is Source.POLICY


def test_no_rule_is_dead() -> None:
    """Each rule is the answer to some situation."""
    answers = {id(decide(now)) for now in every_situation()}
    assert answers == {id(rule) for rule in RULES}


def test_a_mode_is_obeyed_and_voids_what_was_planned_before_it() -> None:
    """HOLD stops policy and human, HUMAN the policy; back in POLICY an older plan is not picked up."""
    arbiter = Arbiter(PROFILE)
    now = 10.0

    def tick() -> tuple[Source, str]:
        nonlocal now
        now += DT
        arbiter.on_joint_state(now, PROFILE.home, now)
        arbiter.heartbeat.beat(now)
        arbiter.episode_heartbeat.beat(now)
        output = arbiter.tick(now, now)
        assert output is not None
        return output.source, output.reason

    def chunk(stamp_s: float) -> str:
        plan = np.tile(PROFILE.home, (16, 1))
        return arbiter.on_chunk(Chunk(stamp_s, 'e1', round(stamp_s * 1e3), 1, DT, plan), now)

    tick()
    arbiter.on_episode(EpisodeState('e1', True, now))
    assert chunk(now) == ''
    assert tick() == (Source.POLICY, '')
    before = now
    arbiter.allow(Source.HOLD, now)
    arbiter.on_teleop(Teleop(now, True, PROFILE.home, 'stall'), now)
    assert tick() == (Source.HOLD, 'mode_hold')
    arbiter.allow(Source.HUMAN, now)
    assert tick() == (Source.HUMAN, 'stall')
    arbiter.on_teleop(Teleop(now, False, PROFILE.home, ''), now)
    assert tick() == (Source.HOLD, 'mode_human')
    arbiter.allow(Source.POLICY, now)
    assert chunk(before) == 'chunk_before_start'
    assert tick() == (Source.HOLD, 'handback')
    assert chunk(now) == ''
    assert tick() == (Source.POLICY, '')
    with pytest.raises(ValueError, match='call estop'):
        arbiter.allow(Source.ESTOP, now)


def test_a_human_in_mid_period_is_answered_without_speeding_up() -> None:
    """A deadman calls for an early tick, once; the robot keeps its speed for the half period."""
    arbiter = Arbiter(PROFILE, ArbiterConfig(blend_s=0.0))
    now = 10.0

    def tick(after_s: float) -> np.ndarray:
        nonlocal now
        now += after_s
        arbiter.on_joint_state(now, PROFILE.home, now)
        arbiter.heartbeat.beat(now)
        output = arbiter.tick(now, now)
        assert output is not None
        return output.position

    def human(offset: float) -> None:
        arbiter.on_teleop(Teleop(now, True, PROFILE.home + offset, 'operator'), now)

    assert not arbiter.urgent(now, now), 'nobody has seen the robot yet'
    tick(DT)
    assert not arbiter.urgent(now, now)
    human(0.5)
    assert arbiter.urgent(now, now)
    before = tick(DT)
    assert not arbiter.urgent(now, now), 'the human has it'
    for _ in range(8):
        human(0.5)
        before, last = tick(DT), before
    speed = (before - last)[0] / DT
    human(0.5)
    limit = PROFILE.limits('acceleration')[0] * DT
    assert abs((tick(0.5 * DT) - before)[0] / (0.5 * DT) - speed) <= limit + 1e-9
