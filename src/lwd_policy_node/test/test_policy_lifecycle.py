"""policy_node's life cycle over DDS, as `ros2 lifecycle set` and `ros2 service call .../change_state` drive it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from lwd_policy_node.nodes import qos

from lwd_msgs.msg import ActionChunk

pytestmark = pytest.mark.launch
Rollout = run_path(str(Path(__file__).with_name('test_policy_launch.py')))['Rollout']
HOLD, POLICY, HUMAN, ESTOP = range(4)
STATE = 'g1_01/policy_node: lifecycle'


class Managed(Rollout):
    """A rollout whose policy_node waits for its transitions."""

    def start_policy(self) -> Any:
        return self.bench.start(
            'standin_policy', transport='uri', late_after_s=0.3, autostart='false'
        )

    def change(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self.bench.call(ChangeState, 'policy_node/change_state', request).success)

    def state(self) -> int:
        reply = self.bench.call(GetState, 'policy_node/get_state', GetState.Request())
        return int(reply.current_state.id)

    def await_no_writer(self) -> None:
        writers = self.bench.node.count_publishers
        self.bench.wait('no topic', lambda: not writers('action_chunk'))

    def chunks_after(self, ticks: int) -> int:
        """How many chunks come while the robot's clock ticks so often."""
        before, end = len(self.chunks), self.ticks + ticks
        self.bench.wait('ticks', lambda: self.ticks >= end)
        return len(self.chunks) - before


@pytest.fixture
def managed(make_bench: Callable[..., Any]) -> Managed:
    bench = make_bench(134, 'g1_01')
    rollout = Managed(bench)
    rollout.chunks = bench.collect(ActionChunk, 'action_chunk', qos.ACTION_CHUNK)
    return rollout


def test_it_plans_only_while_it_is_active(managed: Managed) -> None:
    """configure, activate, deactivate, activate, deactivate, cleanup, and all over again; then shutdown."""
    assert managed.state() == State.PRIMARY_STATE_UNCONFIGURED
    assert not managed.change(Transition.TRANSITION_ACTIVATE), 'nothing is configured'
    for _ in range(2):
        assert managed.change(Transition.TRANSITION_CONFIGURE)
        assert managed.state() == State.PRIMARY_STATE_INACTIVE
        assert managed.chunks_after(20) == 0
        for _ in range(2):
            assert managed.change(Transition.TRANSITION_ACTIVATE)
            assert managed.wait_source(POLICY).policy_version == 1
            assert managed.change(Transition.TRANSITION_DEACTIVATE)
            managed.wait_source(HOLD, 'silent_policy')
            assert managed.chunks_after(20) <= 1, 'one may have been under way'
        assert managed.change(Transition.TRANSITION_CLEANUP)
        assert managed.state() == State.PRIMARY_STATE_UNCONFIGURED
        managed.await_no_writer()
    managed.let_a_human_work()
    managed.bench.wait('the diagnostic', lambda: managed.faults.get(STATE) == 'unconfigured')
    assert managed.change(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert managed.state() == State.PRIMARY_STATE_FINALIZED
    managed.assert_stream_is_sound()
    assert managed.bench.stop(managed.policy) == 0


def test_a_failed_configure_says_what_is_wrong_and_can_be_repeated(
    make_bench: Callable[..., Any], tmp_path: Path
) -> None:
    """The diagnostic names the folder; once that is put right the node configures. By itself it does not start."""
    bench = make_bench(135, 'g1_01')
    said: dict[str, str] = {}

    def on_diagnostics(message: DiagnosticArray) -> None:
        said.update({s.name: s.message for s in message.status})

    bench.node.create_subscription(
        DiagnosticArray, '/diagnostics', on_diagnostics, qos.DIAGNOSTICS
    )
    in_the_way = tmp_path / 'weights'
    in_the_way.write_text('a file where a folder should be')
    bench.start('standin_policy', autostart='false', weights_dir=in_the_way)

    def configure() -> bool:
        request = ChangeState.Request(transition=Transition(label='configure'))
        return bool(bench.call(ChangeState, 'policy_node/change_state', request).success)

    assert not configure()
    bench.wait('the diagnostic', lambda: str(in_the_way) in said.get(STATE, ''))
    assert said[STATE].startswith('not configured: weights_dir')
    in_the_way.unlink()
    assert configure()
    bench.wait('the all-clear', lambda: said[STATE] == 'inactive')

    in_the_way.rename(tmp_path / 'kept')
    in_the_way.write_text('again')
    process = bench.start('standin_policy', weights_dir=in_the_way)
    assert process.wait(timeout=60) == 2
