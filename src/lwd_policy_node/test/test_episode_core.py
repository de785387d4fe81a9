"""Episodes without ROS: when they end, what survives a kill, which scene comes next."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lwd_policy_node.episode import (
    EpisodeError,
    EpisodeJournal,
    EpisodeMachine,
    EpisodeRecord,
    JournalEntry,
    Outcome,
    RecordingWatch,
    Scene,
    SceneSequence,
    WeightsSwap,
    first_seed,
    new_episode_id,
)
from lwd_policy_node.nodes.episode_message import episode_message
from lwd_policy_node.nodes.scene_reset import PendingStart
from lwd_policy_node.nodes.wire import seconds, stamp_of
from rclpy.task import Future


def start(
    machine: EpisodeMachine,
    now_s: float = 10.0,
    limit_s: float = 5.0,
    steady_s: float | None = None,
) -> EpisodeRecord:
    return machine.start(
        task='restock',
        instruction='put the red can on the shelf',
        kind='',
        seed=3,
        now_s=now_s,
        wall_s=0.0,
        time_limit_s=limit_s,
        steady_s=steady_s,
    )


@pytest.fixture
def machine() -> EpisodeMachine:
    return EpisodeMachine('g1_01', success_hold_s=0.2)


def test_ids_are_unique_and_say_who_and_when() -> None:
    ids = {new_episode_id('g1_01', 0.0) for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r'g1_01-19700101T000000-[0-9a-f]{8}', name) for name in ids)


def test_success_must_hold(machine: EpisodeMachine) -> None:
    """An object that passes through the goal for a tick is no success."""
    start(machine)
    assert machine.observe(10.1, success=True) is None
    assert machine.observe(10.2, success=False) is None
    assert machine.observe(10.3, success=True) is None
    assert machine.observe(10.4, success=True) is None
    ended = machine.observe(10.5, success=True)
    assert ended is not None and ended.kind == 'rollout'
    assert (ended.outcome, ended.ended_by) == (Outcome.SUCCESS, 'simulator')
    assert ended.length_s == pytest.approx(0.5)
    assert (machine.ended, machine.successes) == (1, 1)
    assert machine.observe(10.6, success=True) is None


def test_only_a_roll_out_without_a_human_is_the_policys_own_success(
    machine: EpisodeMachine,
) -> None:
    """A human who drives between two episodes helped in neither; one who drives into an episode did."""

    def run(kind: str, *, helped: bool = False, outcome: Outcome = Outcome.SUCCESS) -> None:
        machine.start(
            task='restock', instruction='', kind=kind, seed=1, now_s=1.0, wall_s=0.0, time_limit_s=0.0
        )  # fmt: skip
        if helped:
            machine.control(human=True)
            machine.control(human=False)
        machine.end(outcome, 'service', 2.0)

    machine.control(human=True)  # brings the arms back
    machine.control(human=False)
    run('rollout')
    run('')
    assert (machine.rollouts, machine.unaided) == (2, 2)
    run('rollout', helped=True)
    run('rollout', outcome=Outcome.FAILURE)
    assert (machine.rollouts, machine.unaided) == (4, 2)
    machine.control(human=True)  # and goes on holding the deadman
    run('rollout')
    run('rollout')
    machine.control(human=False)
    assert (machine.rollouts, machine.unaided) == (6, 2)
    run('rollout')
    run('demonstration')
    run('play')
    assert (machine.rollouts, machine.unaided) == (7, 3)
    assert (machine.ended, machine.successes) == (9, 8)


def test_a_spell_that_nobody_saw_counts_in_its_own_episode(machine: EpisodeMachine) -> None:
    """The arbiter's word of it may come when the next episode runs already."""
    first = start(machine).episode_id
    machine.control(human=False, helped=first)
    machine.end(Outcome.SUCCESS, 'service', 11.0)
    start(machine)
    machine.control(human=False, helped=first)
    machine.end(Outcome.SUCCESS, 'service', 11.0)
    assert (machine.rollouts, machine.unaided) == (2, 1)


def test_time_limit_is_a_failure(machine: EpisodeMachine) -> None:
    start(machine)
    assert machine.observe(14.9, success=False) is None
    ended = machine.observe(15.0, success=False)
    assert ended is not None
    assert (ended.outcome, ended.ended_by) == (Outcome.FAILURE, 'timeout')


def test_a_limit_on_a_clock_of_its_own_minds_no_leap_of_the_robots(
    machine: EpisodeMachine,
) -> None:
    """A real robot's clock is set by NTP: an hour ahead is no hour gone by."""
    for leap_s in (0.0, 3600.0):
        start(machine, now_s=10.0, limit_s=5.0, steady_s=700.0)
        assert machine.observe(11.0 + leap_s, success=False, steady_s=704.9) is None
        ended = machine.observe(15.0 + leap_s, success=False, steady_s=705.0)
        assert ended is not None
        assert (ended.outcome, ended.ended_by) == (Outcome.FAILURE, 'timeout')
        assert ended.ended_s == 15.0 + leap_s


def test_no_limit_means_none(machine: EpisodeMachine) -> None:
    start(machine, limit_s=0.0)
    assert machine.observe(1e9, success=False) is None


def test_clock_that_restarts_aborts(machine: EpisodeMachine) -> None:
    """A simulator that was restarted has another scene: its success is not this episode's."""
    start(machine)
    ended = machine.observe(0.5, success=True)
    assert ended is not None and (ended.outcome, ended.ended_by) == (Outcome.ABORTED, 'clock')
    assert ended.length_s == 0.0


def test_refusals_say_what_to_do(machine: EpisodeMachine) -> None:
    with pytest.raises(EpisodeError, match='start one with episode/start'):
        machine.end(Outcome.SUCCESS, 'operator', 1.0)
    record = start(machine)
    with pytest.raises(EpisodeError, match=f'{record.episode_id} is running; end it first'):
        start(machine)
    machine.end(Outcome.ABORTED, 'operator', 11.0)
    with pytest.raises(EpisodeError, match="kind 'demo' is unknown; one of: demonstration"):
        machine.check_startable('demo')


def test_journal_survives_and_lost_episodes_are_closed(
    machine: EpisodeMachine, tmp_path: Path
) -> None:
    path = tmp_path / 'robots' / 'g1_01' / 'episode.json'
    assert EpisodeJournal(path).read() == (JournalEntry(), '')
    record = start(machine)
    EpisodeJournal(path).write(JournalEntry(7, record))
    entry, wrong = EpisodeJournal(path).read()
    assert (entry, wrong) == (JournalEntry(7, record), '')
    assert entry.running is not None
    closed = EpisodeMachine('g1_01', success_hold_s=0.2).adopt_lost(entry.running)
    assert (closed.outcome, closed.ended_by, closed.running) == (Outcome.ABORTED, 'restart', False)


@pytest.mark.parametrize('text', ['', '{', '[]', '{"scenes": 1}', '{"scenes": 1, "running": {}}'])
def test_damaged_journal_is_named_and_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / 'episode.json'
    path.write_text(text)
    entry, wrong = EpisodeJournal(path).read()
    assert entry == JournalEntry() and str(path) in wrong and 'starting afresh' in wrong


def test_sequence_waits_for_the_recorder_and_pauses() -> None:
    """The next scene waits until the bag of the last one is closed, but not for ever."""
    sequence = SceneSequence(('a', 'b'), seed=100, scenes=1, pause_s=0.3, recorder_timeout_s=5.0)
    assert sequence.due(0.0) == Scene('b', 101)
    assert sequence.due(0.1) is None
    sequence.started()
    assert sequence.due(50.0) is None
    sequence.ended('e1', 50.0)
    sequence.closed('e0')
    assert sequence.due(51.0) is None
    sequence.closed('e1')
    assert sequence.due(51.0) == Scene('a', 102)
    sequence.started()
    sequence.closed('e2')  # closed before we looked
    sequence.ended('e2', 60.0)
    assert sequence.due(60.2) is None
    assert sequence.due(60.3) == Scene('b', 103)
    sequence.started()
    sequence.ended('e3', 70.0)
    assert sequence.due(74.9) is None
    assert sequence.due(75.0) == Scene('a', 104)


def test_sequence_retries_and_stops() -> None:
    """A scene that cannot be built is passed over; max_episodes counts ended ones."""
    sequence = SceneSequence(('a',), seed=0, max_episodes=1, wait_for_recorder=False)
    assert sequence.due(0.0) == Scene('a', 0)
    sequence.failed(0.0, 1.0)
    assert sequence.due(0.9) is None
    assert sequence.due(1.0) == Scene('a', 1)
    sequence.started()
    sequence.ended('e', 2.0)
    assert sequence.due(99.0) is None
    with pytest.raises(ValueError, match='tasks is empty'):
        SceneSequence((), seed=0)


def test_robots_do_not_share_scenes() -> None:
    """Seeds are distinct per robot and the same after a restart; nor do they share any with what is evaluated on."""
    seeds = [first_seed(f'g1_{n:02d}') for n in range(1, 1001)]
    assert len(set(seeds)) == len(seeds)
    assert seeds[0] == first_seed('g1_01')
    assert min(seeds) >= 10_000_000_000 and max(seeds) < 2**53 - 1_000_000


@settings(deadline=None)
@given(ns=st.integers(0, 4_000_000_000 * 10**9))
def test_an_episode_never_begins_after_the_tick_that_begins_it(ns: int) -> None:
    """The tick's stamp came as a message, and was seconds in between: since 1970 those are not whole nanoseconds."""
    tick_s = seconds(stamp_of(ns))
    record = EpisodeRecord(
        episode_id='e', robot_id='r', task='t', instruction='', kind='', seed=0, started_s=tick_s
    )
    started = episode_message(record).started
    early_ns = ns - (started.sec * 10**9 + started.nanosec)
    assert 0 <= early_ns <= 3000


def test_the_state_of_a_scene_that_was_run_before_begins_no_episode() -> None:
    """The same task and seed twice: what was still on its way from the first run is older than the reset."""
    pending = PendingStart('restock', '', '', 7, 0.0, 0.0, Future(), before=('restock', 7, 40))
    assert not pending.is_scene(('restock', 7, 41))
    pending.built = True
    assert not pending.is_scene(('restock', 7, 42)), 'it was on its way'
    assert pending.is_scene(('restock', 7, 0))
    pending = PendingStart('restock', '', '', 7, 0.0, 0.0, Future(), before=('restock', 6, 40))
    assert not pending.is_scene(('restock', 7, 0)), 'not answered yet'
    pending.built = True
    assert pending.is_scene(('restock', 7, 1))


def test_weights_are_being_swapped_from_the_boundary_until_they_are_in_use() -> None:
    """Loaded in mid-episode they wait for its end; a policy that dies over it is not waited for for ever."""
    swap = WeightsSwap(timeout_s=5.0)
    assert swap.under_way(0.0) == 0
    swap.in_use(1)
    swap.loaded(2, 10.0)
    assert swap.under_way(10.1) == 2, 'loaded between episodes: they are swapped in at once'
    swap.in_use(1)  # said again, to a new listener
    assert swap.under_way(10.2) == 2
    swap.in_use(2)
    assert (swap.under_way(10.3), swap.active, swap.standby) == (0, 2, 0)
    swap.loaded(3, 11.0)
    swap.episode_ended(60.0)
    assert swap.under_way(64.9) == 3
    assert swap.under_way(65.0) == 0
    swap.gone_back_from(3)
    assert (swap.under_way(60.1), swap.active, swap.standby) == (0, 2, 0)


def test_weights_that_never_come_into_use_are_waited_for_once() -> None:
    """Not after every episode; once they are in use after all, or others are loaded, the next are waited for."""
    swap = WeightsSwap(timeout_s=5.0)
    swap.loaded(2, 10.0)
    swap.episode_ended(60.0)
    assert (swap.under_way(64.9), swap.given_up) == (2, 0)
    assert (swap.under_way(65.0), swap.given_up) == (0, 2)
    swap.episode_ended(90.0)
    assert (swap.under_way(90.1), swap.given_up, swap.standby) == (0, 2, 2)
    swap.loaded(3, 100.0)
    assert (swap.under_way(100.1), swap.given_up) == (3, 0)
    assert (swap.under_way(105.0), swap.given_up) == (0, 3)
    swap.in_use(3)
    assert (swap.given_up, swap.standby, swap.active) == (0, 0, 3)


def test_an_episode_that_the_recorder_does_not_acknowledge_is_named() -> None:
    watch = RecordingWatch(timeout_s=3.0)
    assert watch.trouble('', 0.0) == ''
    assert watch.trouble('a', 10.0) == '' and watch.trouble('a', 12.9) == ''
    assert 'a is not being recorded' in watch.trouble('a', 13.0)
    watch.acknowledged('a')
    assert watch.trouble('a', 13.1) == ''
    watch.acknowledged('')  # the recorder died, or its disk is full
    assert watch.trouble('a', 16.0) == '' and 'records nothing' in watch.trouble('a', 16.2)
    assert watch.trouble('', 30.0) == '', 'nothing runs'
    watch.acknowledged('a')
    assert watch.trouble('b', 31.0) == '', 'every episode has its time'
    assert 'records a' in watch.trouble('b', 34.0)


def test_nobody_misses_a_recorder_that_is_not_wanted() -> None:
    assert RecordingWatch(math.inf).trouble('a', 0.0) == RecordingWatch(math.inf).trouble('a', 1e9)
