"""episode_node in its own process, beside a simulator without physics, over DDS."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.episode_node import EpisodeNode
from lwd_policy_node.profile import load_profile
from rcl_interfaces.srv import SetParameters
from rclpy.duration import Duration
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import Empty, String, UInt32

from lwd_msgs.msg import ActionChunk, ControlMode, Episode, RobotStatus, SimState, WeightsStatus
from lwd_msgs.srv import EndEpisode, ResetSim, StartEpisode

pytestmark = pytest.mark.launch
MakeBench = Callable[..., Any]
PROFILE = load_profile('g1_laptop')


NOT_FOUND = 'the simulator is not found at sim/reset'


def start(bench: Any, **request: Any) -> StartEpisode.Response:
    """One episode by service, as soon as the node has found the simulator: later than we may have."""
    replies: list[StartEpisode.Response] = []

    def asked() -> bool:
        replies.append(bench.call(StartEpisode, 'episode/start', StartEpisode.Request(**request)))
        return NOT_FOUND not in replies[-1].message

    bench.wait('an answer of the simulator', asked)
    return replies[-1]


def ended(episodes: list[Episode]) -> list[Episode]:
    return [e for e in episodes if e.state == Episode.ENDED]


def test_episodes_follow_one_another(make_bench: MakeBench) -> None:
    """auto: reset, run, success or timeout, wait for the recorder, next; then stop at the maximum."""
    bench = make_bench(122, 'g1_01')
    closed_out = bench.node.create_publisher(String, 'recorder/closed', qos.RECORDER_STATE)
    backlog_out = bench.node.create_publisher(UInt32, 'recorder/backlog', qos.RECORDER_STATE)
    weights_out = bench.node.create_publisher(
        WeightsStatus, '/lwd/weights_status', qos.WEIGHTS_STATUS
    )
    episodes = bench.collect(Episode, 'episode', qos.EPISODE_READER)
    reports = bench.collect(RobotStatus, '/lwd/robot_status', qos.ROBOT_STATUS)
    backlog_out.publish(UInt32(data=4))
    bench.start('echo_sim')
    node = bench.start(
        'episode_node',
        auto='true',
        tasks='[restock,handover]',
        seed=10,
        max_episodes=3,
        success_hold_s=0.1,
        pause_s=0.05,
        recorder_timeout_s=60.0,
    )
    bench.wait('the first episode to end', lambda: len(ended(episodes)) == 1)
    bench.wait('a report', lambda: bool(reports) and reports[-1].episodes == 1)
    assert episodes[-1].state == Episode.ENDED  # the next one waits for the recorder
    for n in range(1, 4):
        bench.wait(f'episode {n} to end', lambda n=n: len(ended(episodes)) == n)
        weights_out.publish(WeightsStatus(robot_id='g1_01', version=n, event=WeightsStatus.ACTIVE))
        closed_out.publish(String(data=ended(episodes)[-1].episode_id))

    runs = [e for e in episodes if e.state == Episode.RUNNING]
    assert [(e.task, e.seed, e.kind) for e in runs] == [
        ('restock', 10, 'rollout'),
        ('handover', 11, 'rollout'),
        ('restock', 12, 'rollout'),
    ]
    assert runs[0].instruction == 'do the restock' and runs[0].robot_id == 'g1_01'
    labels = [(e.outcome, e.ended_by) for e in ended(episodes)]
    success, failure = (Episode.OUTCOME_SUCCESS, 'simulator'), (Episode.OUTCOME_FAILURE, 'timeout')
    assert labels == [success, failure, success]
    assert [e.episode_id for e in runs] == [e.episode_id for e in ended(episodes)]
    assert len({e.episode_id for e in runs}) == 3
    bench.wait('the last report', lambda: reports[-1].episodes == 3)
    last = reports[-1]
    assert (last.successes, last.backlog, last.policy_version) == (2, 4, 3)
    assert last.episode_state == Episode.ENDED and last.disk_free_bytes > 0
    assert len([e for e in episodes if e.state == Episode.RUNNING]) == 3
    assert bench.stop(node) == 0


def test_the_report_tells_roll_outs_and_the_policys_own_successes(make_bench: MakeBench) -> None:
    """A demonstration is no roll-out, and a success with a human who drove from its start not the policy's."""
    bench = make_bench(144, 'g1_01')
    reports = bench.collect(RobotStatus, '/lwd/robot_status', qos.ROBOT_STATUS)
    mode_out = bench.node.create_publisher(ControlMode, 'control_mode', qos.CONTROL_MODE)
    bench.start('echo_sim')
    bench.start('episode_node', simulator='true', time_limit_s=600.0)

    def run(kind: str) -> None:
        assert start(bench, task='restock', seed=1, kind=kind).ok
        request = EndEpisode.Request(outcome=Episode.OUTCOME_SUCCESS)
        assert bench.call(EndEpisode, 'episode/end', request).ok

    def drive(mode: int, takeovers: int) -> None:
        mode_out.publish(ControlMode(mode=mode, takeovers=takeovers))
        bench.wait('the mode', lambda: bool(reports) and reports[-1].mode == mode)

    run('rollout')
    drive(ControlMode.HUMAN, 1)
    run('rollout')
    run('demonstration')
    drive(ControlMode.HOLD, 1)
    run('rollout')
    bench.wait('the report', lambda: reports[-1].episodes == 4)
    last = reports[-1]
    assert (last.successes, last.rollouts, last.unaided, last.takeovers) == (4, 3, 2, 1)


def test_a_human_is_known_of_before_the_success(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where simulated time flies a take-over may be over, and the episode with it, before anybody has looked."""
    bench = make_bench(143, 'g1_01')
    monkeypatch.setenv('LWD_HOME', str(tmp_path))
    arguments = ['--ros-args', '-r', '__ns:=/g1_01', '-p', 'success_hold_s:=0.0']
    rclpy.init(args=arguments, domain_id=143)
    node = EpisodeNode()
    try:
        mode_out = bench.node.create_publisher(ControlMode, 'control_mode', qos.CONTROL_MODE)
        state_out = bench.node.create_publisher(SimState, 'sim/state', qos.SIM_STATE)
        machine, done = node._machine, Duration(seconds=20)
        for helped in (False, True):
            running = machine.start(
                task='restock',
                instruction='',
                kind='rollout',
                seed=1,
                now_s=0.0,
                wall_s=0.0,
                time_limit_s=0.0,
            )
            bench.wait('the node', lambda: state_out.get_subscription_count() == 1)
            if helped:
                name = running.episode_id
                mode = ControlMode(mode=ControlMode.POLICY, takeovers=1, episode_id=name)
                mode_out.publish(mode)
                assert mode_out.wait_for_all_acked(done)
            state_out.publish(SimState(task='restock', seed=1, success=True))
            assert state_out.wait_for_all_acked(done)
            end_s = time.monotonic() + 20.0
            while machine.running is not None and time.monotonic() < end_s:
                node._on_wall_tick()
            assert (machine.successes, machine.unaided) == (1 + helped, 1)
    finally:
        node.destroy_node()
        rclpy.shutdown()


def test_a_robots_clock_that_is_set_ends_no_episode(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """NTP sets it an hour ahead: the limit of ten minutes is still to come."""
    monkeypatch.setenv('LWD_HOME', str(tmp_path))
    arguments = ['--ros-args', '-r', '__ns:=/g1_01', '-p', 'time_limit_s:=600.0']
    rclpy.init(args=arguments, domain_id=138)
    node = EpisodeNode()
    try:
        begun = node._begin('restock', '', 'rollout', 0).result()
        ahead = node.get_clock().now() + Duration(seconds=3600)
        monkeypatch.setattr(node, 'get_clock', lambda: SimpleNamespace(now=lambda: ahead))
        node._on_wall_tick()
        assert node._machine.running == begun
        real_s = time.monotonic()
        monkeypatch.setattr(time, 'monotonic', lambda: real_s + 600.0)
        node._on_wall_tick()
        assert node._machine.running is None and node._machine.record is not None
        assert node._machine.record.ended_by == 'timeout'
    finally:
        node.destroy_node()
        rclpy.shutdown()


def test_an_arbiter_that_fell_silent_is_reported(make_bench: MakeBench) -> None:
    """The fleet must not be shown what a dead arbiter said last."""
    bench = make_bench(211, 'g1_01')
    reports = bench.collect(RobotStatus, '/lwd/robot_status', qos.ROBOT_STATUS)
    found = bench.collect(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    mode_out = bench.node.create_publisher(ControlMode, 'control_mode', qos.CONTROL_MODE)
    bench.start('episode_node')
    bench.wait('a report', lambda: bool(reports))
    mode_out.publish(ControlMode(mode=ControlMode.HUMAN, takeovers=1))
    bench.wait('the mode', lambda: reports[-1].mode == ControlMode.HUMAN)
    bench.wait('silence', lambda: reports[-1].mode == RobotStatus.MODE_SILENT)
    bench.wait(
        'the diagnostic',
        lambda: any(
            s.level == DiagnosticStatus.ERROR and s.message.startswith('silent')
            for array in found
            for s in array.status
        ),
    )
    mode_out.publish(ControlMode(mode=ControlMode.HUMAN, takeovers=1))
    bench.wait('the mode', lambda: reports[-1].mode == ControlMode.HUMAN)
    assert reports[-1].takeovers == 1, 'the same spell'


def test_killed_node_closes_its_episode_and_goes_on(make_bench: MakeBench) -> None:
    """kill -9 in mid-episode: the next process ends it as aborted and does not repeat its scene."""
    bench = make_bench(123, 'g1_01')
    episodes = bench.collect(Episode, 'episode', qos.EPISODE_READER)
    bench.start('echo_sim')
    options = {'auto': 'true', 'seed': 11, 'wait_for_recorder': 'false', 'time_limit_s': 600.0}
    node = bench.start('episode_node', **options)
    bench.wait('an episode', lambda: episodes and episodes[-1].state == Episode.RUNNING)
    lost = episodes[-1]
    bench.stop(node, signal.SIGKILL)
    bench.start('episode_node', **options)
    bench.wait('the next episode', lambda: episodes[-1].seed == lost.seed + 1)
    bench.wait(
        'the end of the lost one',
        lambda: any(e.episode_id == lost.episode_id for e in ended(episodes)),
        timeout_s=5.0,
    )
    (closed,) = [e for e in ended(episodes) if e.episode_id == lost.episode_id]
    assert (closed.outcome, closed.ended_by) == (Episode.OUTCOME_ABORTED, 'restart')


def test_an_episode_whose_node_dies_is_held(make_bench: MakeBench) -> None:
    """Nobody would end it: the policy is held while the node is away, stopped or killed, and drives on with it."""
    bench = make_bench(138, 'g1_01')
    modes = bench.collect(ControlMode, 'control_mode', qos.CONTROL_MODE)
    alive_out = bench.node.create_publisher(Empty, 'policy/alive', qos.HEARTBEAT)
    chunk_out = bench.node.create_publisher(ActionChunk, 'action_chunk', qos.ACTION_CHUNK)
    episodes = bench.collect(Episode, 'episode', qos.EPISODE_READER)

    def plan(state: JointState) -> None:
        alive_out.publish(Empty())
        if episodes and episodes[-1].state == Episode.RUNNING:
            chunk = ActionChunk(
                header=state.header,
                episode_id=episodes[-1].episode_id,
                joint_names=list(PROFILE.joint_names),
                step_s=PROFILE.control_period_s,
                steps=16,
                actions=np.tile(PROFILE.home, 16).tolist(),
            )
            chunk_out.publish(chunk)

    bench.node.create_subscription(JointState, 'joint_states', plan, qos.JOINT_STATES)
    bench.start('arbiter_node', profile='g1_laptop', episode_timeout_s=1.0, policy_timeout_s=10.0)
    bench.start('echo_robot')
    node = bench.start('episode_node')

    def wait_mode(mode: int, reason: str) -> None:
        bench.wait(
            reason or 'the policy', lambda: (modes[-1].mode, modes[-1].reason) == (mode, reason)
        )

    bench.wait('the arbiter', lambda: bool(modes))
    wait_mode(ControlMode.HOLD, 'no_episode')
    assert bench.call(StartEpisode, 'episode/start', StartEpisode.Request(task='restock')).ok
    wait_mode(ControlMode.POLICY, '')
    node.send_signal(signal.SIGSTOP)
    wait_mode(ControlMode.HOLD, 'no_episode_node')
    node.send_signal(signal.SIGCONT)
    wait_mode(ControlMode.POLICY, '')
    bench.stop(node, signal.SIGKILL)
    wait_mode(ControlMode.HOLD, 'no_episode_node')
    bench.start('episode_node')
    wait_mode(ControlMode.HOLD, 'no_episode')
    assert (episodes[-1].outcome, episodes[-1].ended_by) == (Episode.OUTCOME_ABORTED, 'restart')


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_node_that_leaves_ends_its_episode(make_bench: MakeBench, number: int) -> None:
    """Nobody would do it afterwards; and the next process has nothing left to close."""
    bench = make_bench(139, 'g1_01')
    episodes = bench.collect(Episode, 'episode', qos.EPISODE_READER)
    node = bench.start('episode_node')
    bench.wait('the node', lambda: bool(episodes))
    reply = bench.call(StartEpisode, 'episode/start', StartEpisode.Request(task='restock'))
    assert reply.ok
    bench.wait('the episode', lambda: episodes[-1].state == Episode.RUNNING)
    node.send_signal(number)
    bench.wait('its end', lambda: episodes[-1].state == Episode.ENDED)
    last = episodes[-1]
    assert (last.episode_id, last.outcome) == (reply.episode_id, Episode.OUTCOME_ABORTED)
    assert last.ended_by == 'shutdown'
    bench.wait('its exit', lambda: node.poll() is not None)
    assert node.returncode == 0
    bench.start('episode_node')
    bench.wait('the next process', lambda: episodes[-1].state == Episode.IDLE)


def test_a_second_node_of_the_same_robot_is_refused(
    make_bench: MakeBench, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It would take the episode under way for a lost one, and end it."""
    bench = make_bench(138, 'g1_01')
    episodes = bench.collect(Episode, 'episode', qos.EPISODE_READER)
    first = bench.start('episode_node')
    bench.wait('the node', lambda: bool(episodes))
    assert bench.call(StartEpisode, 'episode/start', StartEpisode.Request(task='restock')).ok
    second = bench.start('episode_node')
    bench.wait('the refusal', lambda: second.poll() is not None)
    assert second.returncode == 2
    said = capfd.readouterr().err
    assert 'Traceback' not in said
    assert f'another episode_node keeps {tmp_path}/robots/g1_01/episode.json; stop it' in said
    assert [e.state for e in episodes] == [Episode.IDLE, Episode.RUNNING]
    bench.stop(first, signal.SIGKILL)
    bench.start('episode_node')
    bench.wait('the end', lambda: episodes[-1].state == Episode.ENDED)


def test_episode_by_service(make_bench: MakeBench) -> None:
    """start and end by call, with refusals that say why; a dead simulator aborts."""
    bench = make_bench(124, 'g1_01')
    episodes = bench.collect(Episode, 'episode', qos.EPISODE_READER)
    bench.start('episode_node', simulator='true', sim_silence_s=2.0, time_limit_s=600.0)

    def end(outcome: int) -> Any:
        return bench.call(EndEpisode, 'episode/end', EndEpisode.Request(outcome=outcome))

    bench.wait('the node', lambda: episodes and episodes[-1].state == Episode.IDLE)
    refused = end(Episode.OUTCOME_SUCCESS)
    assert not refused.ok and 'no episode is running' in refused.message
    refused = bench.call(
        StartEpisode, 'episode/start', StartEpisode.Request(task='restock', seed=1)
    )
    assert not refused.ok and NOT_FOUND in refused.message
    sim = bench.start('echo_sim')
    reply = start(bench, task='impossible', seed=1)
    assert not reply.ok and "no task 'impossible'" in reply.message
    reply = start(bench, task='restock', seed=1, kind='play', instruction='tidy up')
    assert reply.ok, reply.message
    assert 'is running; end it first' in start(bench).message
    bench.wait('the episode', lambda: episodes[-1].episode_id == reply.episode_id)
    assert (episodes[-1].kind, episodes[-1].instruction) == ('play', 'tidy up')
    assert 'not a valid Outcome' in end(9).message
    assert end(Episode.OUTCOME_FAILURE).episode_id == reply.episode_id
    bench.wait('its end', lambda: episodes[-1].state == Episode.ENDED)
    assert (episodes[-1].outcome, episodes[-1].ended_by) == (Episode.OUTCOME_FAILURE, 'service')

    assert start(bench, task='restock', seed=3).ok
    bench.stop(sim, signal.SIGKILL)
    bench.wait('the abort', lambda: episodes[-1].outcome == Episode.OUTCOME_ABORTED)
    assert episodes[-1].ended_by == 'simulator'


def test_an_episode_ends_although_the_disk_takes_nothing(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    """Else the policy would go on, without a limit of time and with an end button that does nothing."""
    bench = make_bench(137, 'g1_01')
    episodes = bench.collect(Episode, 'episode', qos.EPISODE_READER)
    bench.start('echo_sim')
    node = bench.start('episode_node', simulator='true', time_limit_s=600.0)
    bench.wait('the node', lambda: episodes and episodes[-1].state == Episode.IDLE)
    assert start(bench, task='restock', seed=1).ok
    bench.wait('the episode', lambda: episodes[-1].state == Episode.RUNNING)
    journal = tmp_path / 'robots' / 'g1_01' / 'episode.json'
    journal.unlink()
    journal.mkdir()  # what is written cannot come here
    request = EndEpisode.Request(outcome=Episode.OUTCOME_FAILURE)
    assert bench.call(EndEpisode, 'episode/end', request).ok
    bench.wait('its end', lambda: episodes[-1].state == Episode.ENDED)
    assert node.poll() is None


def test_a_disk_that_hangs_keeps_no_end_back(make_bench: MakeBench, tmp_path: Path) -> None:
    """The end is told before it is written; a process that dies in the write tells it twice."""
    bench = make_bench(139, 'g1_01')
    episodes = bench.collect(Episode, 'episode', qos.EPISODE_READER)
    node = bench.start('episode_node')
    bench.wait('the node', lambda: bool(episodes))
    name = bench.call(
        StartEpisode, 'episode/start', StartEpisode.Request(task='restock')
    ).episode_id
    draft = tmp_path / 'robots' / 'g1_01' / 'episode.tmp'
    os.mkfifo(draft)  # a write waits for a reader, for ever
    client = bench.node.create_client(EndEpisode, 'episode/end')
    bench.wait('the service', client.service_is_ready)
    client.call_async(EndEpisode.Request(outcome=Episode.OUTCOME_SUCCESS))
    bench.wait('its end', lambda: episodes[-1].state == Episode.ENDED)
    bench.stop(node, signal.SIGKILL)
    draft.unlink()
    bench.start('episode_node')
    bench.wait('the end again', lambda: len(ended(episodes)) == 2)
    assert [(e.episode_id, e.outcome, e.ended_by) for e in ended(episodes)] == [
        (name, Episode.OUTCOME_SUCCESS, 'service'),
        (name, Episode.OUTCOME_ABORTED, 'restart'),
    ]


def test_an_episode_that_is_not_recorded_is_reported(make_bench: MakeBench) -> None:
    """No acknowledgement, or none any more: status and diagnostics say so, and the episode goes on."""
    bench = make_bench(128, 'g1_01')
    episodes = bench.collect(Episode, 'episode', qos.EPISODE_READER)
    reports = bench.collect(RobotStatus, '/lwd/robot_status', qos.ROBOT_STATUS)
    found = bench.collect(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    bench.start('echo_sim')
    bench.start('episode_node', simulator='true', recording_timeout_s=0.5, time_limit_s=600.0)
    bench.wait('the node', lambda: episodes and episodes[-1].state == Episode.IDLE)
    name = start(bench, task='restock', seed=1).episode_id
    bench.wait('the report', lambda: reports and reports[-1].unrecorded)

    def said(level: bytes) -> bool:
        return any(s.level == level and name in s.message for array in found for s in array.status)

    bench.wait('the diagnostic', lambda: said(DiagnosticStatus.ERROR))
    recorder = bench.node.create_publisher(String, 'recorder/recording', qos.RECORDER_STATE)
    recorder.publish(String(data=name))
    bench.wait('all clear', lambda: not reports[-1].unrecorded and said(DiagnosticStatus.OK))
    bench.node.destroy_publisher(recorder)
    bench.wait('the report', lambda: reports[-1].unrecorded)
    assert episodes[-1].state == Episode.RUNNING


def test_no_episode_starts_while_weights_are_being_swapped(make_bench: MakeBench) -> None:
    """By service it is refused with the reason; in auto mode it waits."""
    bench = make_bench(136, 'g1_01')
    weights_out = bench.node.create_publisher(
        WeightsStatus, '/lwd/weights_status', qos.WEIGHTS_STATUS
    )
    episodes = bench.collect(Episode, 'episode', qos.EPISODE_READER)
    reports = bench.collect(RobotStatus, '/lwd/robot_status', qos.ROBOT_STATUS)
    bench.start('echo_sim')
    options = {'swap_timeout_s': 600.0, 'wait_for_recorder': 'false', 'time_limit_s': 600.0}
    bench.start('episode_node', simulator='true', **options)

    def say(version: int, event: int, robot: str = 'g1_01') -> None:
        weights_out.publish(WeightsStatus(robot_id=robot, version=version, event=event))

    def end() -> None:
        request = EndEpisode.Request(outcome=Episode.OUTCOME_FAILURE)
        assert bench.call(EndEpisode, 'episode/end', request).ok

    bench.wait('the node', lambda: episodes and weights_out.get_subscription_count())
    say(1, WeightsStatus.ACTIVE)
    say(9, WeightsStatus.LOADED, robot='g1_02')
    bench.wait('the report', lambda: reports and reports[-1].policy_version == 1)
    assert start(bench, task='restock', seed=1).ok, "another robot's weights"
    say(2, WeightsStatus.LOADED)
    bench.wait('the report', lambda: reports[-1].standby_version == 2)
    assert episodes[-1].state == Episode.RUNNING, 'weights in standby end no episode'
    end()
    refused = start(bench, task='restock', seed=3)
    assert not refused.ok
    assert refused.message == 'weights version 2 are being swapped in; try again in a moment'
    say(2, WeightsStatus.ACTIVE)
    bench.wait('the report', lambda: reports[-1].standby_version == 0)
    assert start(bench, task='restock', seed=3).ok
    say(3, WeightsStatus.LOADED)
    bench.wait('the report', lambda: reports[-1].standby_version == 3)
    seen = len(episodes)
    set_auto = SetParameters.Request(parameters=[Parameter('auto', value=True).to_parameter_msg()])
    assert bench.call(SetParameters, 'episode_node/set_parameters', set_auto).results[0].successful
    end()
    reports.clear()
    bench.wait('two reports, a second apart', lambda: len(reports) > 1)
    assert [e.state for e in episodes[seen:]] == [Episode.ENDED]
    say(3, WeightsStatus.ACTIVE)
    bench.wait('the next episode', lambda: episodes[-1].state == Episode.RUNNING)


def test_a_start_that_is_pending_can_be_called_off(make_bench: MakeBench) -> None:
    """A simulator that builds a scene and never shows it: nobody has to wait for the time-out."""

    def build(_: ResetSim.Request, reply: ResetSim.Response) -> ResetSim.Response:
        reply.ok = True
        return reply

    bench = make_bench(141, 'g1_01')
    bench.node.create_service(ResetSim, 'sim/reset', build)
    bench.start('episode_node', simulator='true', reset_timeout_s=600.0)
    client = bench.node.create_client(StartEpisode, 'episode/start')
    bench.wait('the node', client.service_is_ready)

    def end(outcome: int) -> Any:
        return bench.call(EndEpisode, 'episode/end', EndEpisode.Request(outcome=outcome))

    pending: list[Any] = []

    def begun() -> bool:  # refused until the node has found the simulator
        if not pending or pending[-1].done():
            pending.append(client.call_async(StartEpisode.Request(task='restock', seed=7)))
        return bool(end(Episode.OUTCOME_ABORTED).ok)

    bench.wait('a start that is called off', begun)
    bench.wait('its answer', pending[-1].done)
    assert not pending[-1].result().ok
    assert pending[-1].result().message == 'called off by service'
    refused = end(Episode.OUTCOME_SUCCESS)
    assert not refused.ok and 'no episode is running' in refused.message
