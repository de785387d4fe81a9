"""ESTOP > HUMAN > POLICY > HOLD: who moves the robot, as a table and as stories."""

from __future__ import annotations

import math

import numpy as np
import pytest
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
from lwd_policy_node.profile import load_profile

PROFILE = load_profile('g1_laptop')
DT = PROFILE.control_period_s
HOME = PROFILE.home
A = len(HOME)


class Bench:
    """An arbiter, a robot that follows at once, and a clock that advances by ticks."""

    def __init__(self, **config: float) -> None:
        self.arbiter = Arbiter(PROFILE, ArbiterConfig(**config))
        self.now = 100.0
        self.measured = HOME.copy()
        self.steady = 5.0
        self.state_alive = True
        self.policy_alive = True

    def tick(self) -> Output:
        self.now += DT
        self.steady += DT
        if self.state_alive:
            self.arbiter.on_joint_state(self.now, self.measured, self.now)
        if self.policy_alive:
            self.arbiter.heartbeat.beat(self.steady - 0.1 * DT)
        self.arbiter.episode_heartbeat.beat(self.steady)
        output = self.arbiter.tick(self.now, self.steady)
        assert output is not None
        if self.state_alive:
            self.measured = output.position.copy()
        return output

    def ticks(self, n: int) -> Output:
        for _ in range(n):
            output = self.tick()
        return output

    def episode(self, name: str = 'e1', running: bool = True) -> None:
        self.arbiter.on_episode(EpisodeState(name, running, self.now))

    def chunk(self, offset: float = 0.0, **changes: object) -> str:
        facts: dict[str, object] = {
            'stamp_s': self.now,
            'episode_id': 'e1',
            'chunk_id': 1,
            'policy_version': 3,
            'step_s': DT,
            'actions': np.tile(HOME + offset, (16, 1)),
        } | changes
        return self.arbiter.on_chunk(Chunk(**facts), self.now)  # type: ignore[arg-type]

    def teleop(self, offset: float = 0.0, deadman: bool = True, **changes: object) -> str:
        facts: dict[str, object] = {
            'stamp_s': self.now,
            'deadman': deadman,
            'position': HOME + offset,
            'reason': 'operator' if deadman else '',
        } | changes
        return self.arbiter.on_teleop(Teleop(**facts), self.now)  # type: ignore[arg-type]


@pytest.mark.parametrize('estop', [False, True])
@pytest.mark.parametrize('human', [False, True])
@pytest.mark.parametrize('policy', [False, True])
@pytest.mark.parametrize('fresh', [False, True])
def test_priority_table(estop: bool, human: bool, policy: bool, fresh: bool) -> None:
    """Every combination of live inputs has one owner."""
    bench = Bench()
    bench.episode()
    bench.ticks(2)
    if policy:
        assert bench.chunk() == ''
    if human:
        assert bench.teleop() == ''
    if estop:
        bench.arbiter.estop('test')
    bench.state_alive = fresh
    if not fresh:
        bench.now += 0.15
    output = bench.tick()
    if estop:
        assert output.source is Source.ESTOP
    elif not fresh:
        assert (output.source, output.reason) == (Source.HOLD, 'stale_state')
    elif human:
        assert (output.source, output.reason) == (Source.HUMAN, 'operator')
    elif policy:
        assert (output.source, output.reason) == (Source.POLICY, '')
    else:
        assert (output.source, output.reason) == (Source.HOLD, 'no_policy')


def test_nothing_is_sent_before_the_robot_was_seen() -> None:
    """The first target is the measured position, not a guess."""
    arbiter = Arbiter(PROFILE)
    assert arbiter.tick(1.0, 0.0) is None
    measured = HOME + 0.05
    arbiter.on_joint_state(1.03, measured, 1.03)
    output = arbiter.tick(1.034, 0.0)
    assert output is not None and output.reseeded
    np.testing.assert_array_equal(output.position, measured)


def test_steps_are_indexed_by_time() -> None:
    """A chunk that took four ticks to make starts at its fifth step."""
    bench = Bench()
    bench.episode()
    bench.tick()
    stamp = bench.now
    bench.ticks(4)
    actions = HOME + 0.001 * np.arange(16)[:, None] * np.ones(A)
    assert bench.chunk(stamp_s=stamp, actions=actions) == ''
    output = bench.tick()
    assert (output.chunk_id, output.chunk_step, output.policy_version) == (1, 5, 3)
    assert output.observation_age_s == pytest.approx(5 * DT)
    np.testing.assert_allclose(output.wish, actions[5])


def test_chunk_that_runs_out_is_held() -> None:
    """No step is repeated past the plan's end."""
    bench = Bench()
    bench.episode()
    bench.tick()
    bench.chunk()
    outputs = [bench.tick() for _ in range(20)]
    # made at tick 0: the ticks 1..15 are its steps 1..15
    assert [o.source for o in outputs] == [Source.POLICY] * 15 + [Source.HOLD] * 5
    assert outputs[-1].reason == 'stale_chunk'
    assert math.isnan(outputs[-1].observation_age_s) and outputs[-1].chunk_id == 0


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'episode_id': 'e0'}, 'chunk_wrong_episode'),
        ({'actions': np.zeros((16, A - 1))}, 'chunk_wrong_size'),
        ({'actions': np.zeros((0, A))}, 'chunk_wrong_size'),
        ({'actions': np.full((16, A), math.nan)}, 'chunk_non_finite'),
        ({'stamp_s': math.nan}, 'chunk_non_finite'),
        ({'step_s': 0.0}, 'chunk_bad_step'),
        ({'step_s': math.inf}, 'chunk_bad_step'),
        ({'step_s': 5e-324}, 'chunk_bad_step'),
        ({'step_s': 1e-12}, 'chunk_bad_step'),
        ({'step_s': 0.0009}, 'chunk_bad_step'),
        ({'stamp_s': 100.0}, 'chunk_before_start'),
        ({'stamp_s': 105.0}, 'chunk_future_stamp'),
    ],
)
def test_bad_chunks_are_refused_by_name(changes: dict[str, object], reason: str) -> None:
    """A refused chunk says why, is counted, and does not displace the good one."""
    bench = Bench()
    bench.tick()
    bench.episode()
    bench.ticks(3)
    assert bench.chunk(chunk_id=7) == ''
    bench.tick()
    assert bench.chunk(chunk_id=8, **changes) == reason
    assert bench.arbiter.rejected[reason] == 1
    assert bench.tick().chunk_id == 7


def test_late_and_reordered_chunks_are_refused() -> None:
    """The newest observation wins, whatever order chunks arrive in."""
    bench = Bench()
    bench.episode()
    bench.ticks(20)
    assert bench.chunk(stamp_s=bench.now - 17 * DT) == 'chunk_late'
    assert bench.chunk(stamp_s=bench.now - 3 * DT, chunk_id=2) == ''
    assert bench.chunk(stamp_s=bench.now - 4 * DT, chunk_id=3) == 'chunk_out_of_order'
    assert bench.chunk(stamp_s=bench.now - 3 * DT, chunk_id=2) == 'chunk_out_of_order'
    assert bench.chunk(stamp_s=bench.now, chunk_id=1) == ''  # a restarted policy counts from 1


def test_takeover_starts_from_the_last_command() -> None:
    """The blend: the first human command hardly differs from the last one executed."""
    bench = Bench(acceleration_scale=1000.0)
    bench.episode()
    bench.tick()
    bench.chunk()
    before = bench.ticks(3)
    outputs = []
    for _ in range(8):
        bench.teleop(offset=0.06)
        outputs.append(bench.tick())
    assert all(o.source is Source.HUMAN for o in outputs)
    moved = np.array([o.position - before.position for o in outputs])[:, 0]
    np.testing.assert_allclose(moved[:5], 0.06 * np.arange(1, 6) / 6, atol=1e-9)
    np.testing.assert_allclose(moved[5:], 0.06, atol=1e-9)
    assert outputs[0].clamps[0] & Clamp.BLEND and not outputs[-1].clamps.any()
    assert outputs[-1].takeovers == 1


def test_hand_back_voids_older_chunks() -> None:
    """After the human lets go, only a chunk seen after that moves the robot."""
    bench = Bench()
    bench.episode()
    bench.tick()
    bench.chunk()
    bench.teleop()
    bench.tick()
    bench.chunk(chunk_id=2)  # made while the human was in control
    during = bench.now
    bench.teleop(deadman=False)
    output = bench.tick()
    assert (output.source, output.reason) == (Source.HOLD, 'handback')
    assert bench.tick().source is Source.HOLD
    assert bench.chunk(chunk_id=3, stamp_s=during) == 'chunk_before_start'
    assert bench.chunk(chunk_id=4) == ''
    output = bench.tick()
    assert (output.source, output.chunk_id) == (Source.POLICY, 4)


def test_silent_human_hands_back() -> None:
    """A teleoperator that dies with its deadman held does not keep the robot."""
    bench = Bench(teleop_timeout_s=0.1)
    bench.episode()
    bench.tick()
    bench.teleop()
    assert bench.tick().source is Source.HUMAN
    assert bench.ticks(4).source is Source.HOLD


def test_late_command_is_refused_by_name() -> None:
    """As old at arrival as a silent human: it gives no control, and is counted. A release is no takeover."""
    bench = Bench(teleop_timeout_s=0.1)
    bench.tick()
    assert bench.teleop(stamp_s=bench.now - 0.5, deadman=False) == ''
    assert bench.teleop(stamp_s=bench.now - 0.11) == 'teleop_stale'
    assert bench.arbiter.rejected['teleop_stale'] == 1
    assert bench.tick().source is Source.HOLD
    assert bench.teleop(stamp_s=bench.now - 0.05) == ''
    assert bench.tick().source is Source.HUMAN


def test_human_with_a_bad_command_keeps_control() -> None:
    """Deadman held and wrong size: the policy does not creep back in; joints are held."""
    bench = Bench()
    bench.episode()
    bench.tick()
    bench.chunk()
    before = bench.tick()
    bench.teleop(position=np.zeros(3))
    output = bench.tick()
    assert output.source is Source.HUMAN and (output.clamps == Clamp.WRONG_SIZE).all()
    np.testing.assert_allclose(output.position, before.position, atol=1e-12)
    wish = HOME.copy()
    wish[4] = math.nan
    bench.teleop(position=wish)
    output = bench.tick()
    assert output.clamps[4] & Clamp.NON_FINITE and np.isfinite(output.position).all()


def test_estop_latches() -> None:
    """Only `resume` leaves the e-stop, and chunks made before it are void."""
    bench = Bench()
    bench.episode()
    bench.tick()
    bench.chunk()
    bench.tick()
    bench.arbiter.estop('pressed')
    output = bench.tick()
    assert (output.source, output.reason) == (Source.ESTOP, 'pressed')
    bench.teleop()
    bench.chunk(chunk_id=2)
    assert bench.tick().source is Source.ESTOP
    bench.teleop(deadman=False)
    assert bench.arbiter.resume() and not bench.arbiter.resume()
    assert bench.tick().source is Source.HOLD
    assert bench.tick().source is Source.HOLD
    bench.chunk(chunk_id=3)
    assert bench.tick().source is Source.POLICY


def test_new_episode_starts_clean() -> None:
    """Chunks and the takeover count belong to one episode."""
    bench = Bench()
    bench.episode()
    bench.tick()
    bench.teleop()
    assert bench.tick().takeovers == 1
    bench.teleop(deadman=False)
    bench.tick()
    bench.chunk()
    assert bench.tick().source is Source.POLICY
    bench.episode(running=False)
    assert (bench.tick().source, bench.tick().reason) == (Source.HOLD, 'no_episode')
    bench.episode('e2')
    output = bench.tick()
    assert (output.source, output.takeovers, output.episode_id) == (Source.HOLD, 0, 'e2')
    assert bench.chunk(episode_id='e2') == ''
    assert bench.tick().source is Source.POLICY


def test_teleported_robot_is_met_where_it_is() -> None:
    """A simulator's reset moves the robot: the target follows, before or just after the start."""
    bench = Bench()
    bench.episode()
    bench.ticks(2)
    bench.episode(running=False)
    bench.measured = HOME * 0.5
    output = bench.tick()
    assert output.reseeded
    np.testing.assert_array_equal(output.position, HOME * 0.5)
    bench.episode('e2')
    bench.measured = HOME.copy()  # the first state after the start says where it is now
    output = bench.tick()
    assert output.reseeded
    np.testing.assert_array_equal(output.position, HOME)
    assert not bench.tick().reseeded


def test_an_arm_that_lags_behind_its_braking_target_is_not_jumped_to() -> None:
    """Let go in mid-motion outside an episode: the command stops by the limits, and only then meets the robot."""
    bench = Bench()
    last = bench.ticks(2)
    velocity = np.zeros_like(HOME)
    braked = 0
    for step in range(60):
        bench.teleop(0.05 * step, deadman=step < 12)
        bench.measured = last.position - 0.25 * (step >= 12)  # the robot lags
        output = bench.tick()
        moved = (output.position - last.position) / DT
        if output.reseeded:
            break
        assert (np.abs(moved - velocity) <= PROFILE.limits('acceleration') * DT + 1e-6).all()
        braked += bool(step > 12 and np.abs(moved).max() > 0.1)
        velocity, last = moved, output
    assert output.reseeded
    assert braked >= 2
    np.testing.assert_allclose(velocity, 0.0, atol=1e-3)


def test_start_of_an_episode_is_bumpless_on_a_real_robot() -> None:
    """Sag and tracking error are no reason to move the target."""
    bench = Bench()
    before = bench.ticks(3)
    bench.measured = before.position + 0.03
    bench.episode()
    output = bench.tick()
    assert not output.reseeded
    np.testing.assert_array_equal(output.position, before.position)


def test_clock_that_steps_back_drops_everything() -> None:
    """A restarted simulator starts its clock again: nothing of the old clock is executed."""
    bench = Bench()
    bench.episode()
    bench.tick()
    bench.chunk()
    assert bench.tick().source is Source.POLICY
    bench.now = 1.0
    bench.state_alive = False
    assert bench.tick().reason == 'stale_state'
    bench.state_alive = True
    assert bench.tick().reason == 'no_policy'
    assert bench.chunk() == ''
    assert bench.tick().source is Source.POLICY


def test_ticks_are_recorded_only_when_they_matter() -> None:
    """executed_action is silent between episodes, unless a human moves the robot."""
    bench = Bench()
    assert not bench.tick().live
    bench.teleop()
    assert bench.tick().live
    bench.teleop(deadman=False)
    assert not bench.tick().live
    bench.episode()
    assert bench.tick().live


def test_two_ticks_at_once_send_one_command() -> None:
    """A timer that catches up must not double the speed."""
    bench = Bench()
    bench.tick()
    assert bench.arbiter.tick(bench.now + 0.1 * DT, bench.steady) is None


def test_robot_that_was_not_seen_is_met_where_it_is_then() -> None:
    """Within an episode too: a driver that comes back with the arms elsewhere is not commanded from where they were."""
    bench = Bench()
    bench.episode()
    bench.ticks(3)
    bench.state_alive = False
    assert bench.ticks(10).reason == 'stale_state'
    bench.measured = HOME + 0.1
    bench.measured[-2:] = 0.0
    bench.state_alive = True
    bench.chunk()
    output = bench.tick()
    assert output.reseeded and output.source is Source.POLICY
    moved = np.abs(output.position - (HOME + 0.1))[:-2] / DT
    assert (moved <= PROFILE.limits('acceleration')[:-2] * DT + 1e-9).all()
    assert not bench.tick().reseeded


def test_robot_that_was_not_seen_is_met_under_the_estop() -> None:
    """Switched off, pushed by hand and switched on again: a latched e-stop does not pull it back."""
    bench = Bench()
    bench.ticks(3)
    bench.arbiter.estop('pressed')
    bench.tick()
    bench.state_alive = False
    bench.ticks(10)
    bench.measured = HOME * 0.5
    bench.state_alive = True
    output = bench.tick()
    assert output.source is Source.ESTOP and output.reseeded
    np.testing.assert_array_equal(output.position, HOME * 0.5)


def test_gripper_keeps_its_grip_when_the_robot_was_not_seen_for_a_moment() -> None:
    """It rests far from its target around what it holds; only a robot that was moved is met anew altogether."""
    bench = Bench()
    bench.measured[-1] = 1.0
    bench.tick()
    for moved, gripper in ((0.1, 1.0), (0.5, 0.4)):
        bench.state_alive = False
        bench.ticks(10)
        bench.measured = bench.measured + moved
        bench.measured[-1] = 0.4
        bench.state_alive = True
        assert bench.tick().position[-1] == gripper


def test_arm_that_is_still_braking_comes_to_rest_before_the_robot_is_met() -> None:
    """Seen again in mid-brake: nobody moves the robot until it rests and its pose is taken."""
    bench = Bench()
    bench.episode()
    bench.tick()
    for step in range(15):
        bench.teleop(0.05 * step)
        last = bench.tick()
    velocity = np.full_like(HOME, 0.0)
    bench.state_alive = False
    bench.now += 0.1
    bench.teleop(0.05 * 15)
    before, last = last, bench.tick()
    assert (last.source, last.reason) == (Source.HOLD, 'stale_state')
    bench.state_alive = True
    braked = 0
    for step in range(60):
        bench.measured = last.position - 0.3
        bench.teleop(0.05 * (16 + step))
        before, last = last, bench.tick()
        if last.reseeded:
            break
        velocity = (last.position - before.position) / DT
        braked += 1
        assert (last.source, last.reason) == (Source.HOLD, 'stale_state')
    assert braked >= 2 and last.reseeded and last.source is Source.HUMAN
    np.testing.assert_allclose(velocity, 0.0, atol=1e-3)


def test_nothing_is_sent_to_a_robot_that_is_not_seen_once_it_rests() -> None:
    """A target for a robot nobody knows the pose of is a jump in waiting; what moves is braked first."""
    bench = Bench()
    bench.tick()
    for step in range(15):
        bench.teleop(0.05 * step)
        assert bench.tick().sent
    bench.state_alive = False
    bench.now += 0.1
    outputs = [bench.tick() for _ in range(40)]
    sent = [output.sent for output in outputs]
    rest = sent.index(False)
    assert rest >= 2 and not any(sent[rest:])
    np.testing.assert_array_equal(outputs[-1].position, outputs[rest - 1].position)
    bench.arbiter.estop('pressed')
    assert not bench.tick().sent
    bench.state_alive = True
    assert bench.tick().sent


def test_plan_made_before_the_robot_was_moved_unseen_is_void() -> None:
    """It would bring the arms back to where they were; only what was seen since they are back counts."""
    bench = Bench()
    bench.episode()
    bench.tick()
    bench.chunk(actions=np.tile(HOME, (30, 1)))
    assert bench.tick().source is Source.POLICY
    bench.state_alive = False
    bench.ticks(10)
    bench.measured = HOME * 0.5
    bench.state_alive = True
    output = bench.tick()
    assert (output.source, output.reason, output.reseeded) == (Source.HOLD, 'no_policy', True)
    np.testing.assert_array_equal(output.position, HOME * 0.5)
    assert bench.chunk(chunk_id=2) == ''
    assert bench.tick().source is Source.POLICY


def test_robot_seen_on_a_clock_that_stepped_back_is_met_at_once() -> None:
    """A simulator in lock-step waits for the command of its first tick, too."""
    bench = Bench()
    bench.ticks(3)
    bench.now = 1.0
    bench.measured = HOME + 0.05
    output = bench.tick()
    assert output.sent and output.reseeded and output.reason == 'no_episode'
    assert not bench.arbiter.rejected
