"""The parameter survey never stops the recorder, whatever nodes answer and whenever. Real DDS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
import yaml
from lwd_recorder.nodes import parameter_survey
from lwd_recorder.nodes.parameter_survey import ParameterSurvey
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

pytestmark = pytest.mark.launch

DOMAIN = 140
PEERS = {
    '/g1_01/unset_driver': lambda request, reply: reply,  # as rclcpp, where one has no value
    '/g1_01/odd_driver': lambda request, reply: GetParameters.Response(
        values=[ParameterValue(type=99)] * len(request.names)
    ),
    '/g1_01/driver': lambda request, reply: GetParameters.Response(
        values=[ParameterValue(type=2, integer_value=7)] * len(request.names)
    ),
}


def peer(context: Context, full: str, get: Callable[[Any, Any], Any]) -> Node:
    """A node that has parameters a and b, and answers for their values as it likes."""
    node = Node(
        full.rsplit('/', 1)[-1],
        namespace='/g1_01',
        context=context,
        start_parameter_services=False,
    )

    def names(request: Any, reply: Any) -> Any:
        reply.result.names = ['a', 'b']
        return reply

    node.create_service(ListParameters, f'{full}/list_parameters', names)
    node.create_service(GetParameters, f'{full}/get_parameters', get)
    return node


@pytest.fixture
def asking() -> Iterator[tuple[Node, SingleThreadedExecutor]]:
    """The node that asks and its executor; the others answer in a thread."""
    there, here = Context(), Context()
    rclpy.init(context=there, domain_id=DOMAIN)
    rclpy.init(context=here, domain_id=DOMAIN)
    theirs = SingleThreadedExecutor(context=there)
    peers = [peer(there, full, get) for full, get in PEERS.items()]
    for one in peers:
        theirs.add_node(one)
    leaving = threading.Event()

    def answer() -> None:
        while not leaving.is_set():
            theirs.spin_once(timeout_sec=0.02)

    thread = threading.Thread(target=answer)
    thread.start()
    node = Node('recorder_node', namespace='/g1_01', context=here)
    executor = SingleThreadedExecutor(context=here)
    executor.add_node(node)
    deadline_s = time.monotonic() + 20
    while len(node.get_node_names()) <= len(peers):
        assert time.monotonic() < deadline_s, node.get_node_names()
        time.sleep(0.02)
    yield node, executor
    leaving.set()
    thread.join()
    for one in (node, *peers):
        one.destroy_node()
    rclpy.shutdown(context=here)
    rclpy.shutdown(context=there)


def test_a_node_that_answers_oddly_is_one_without_an_answer(
    asking: tuple[Node, SingleThreadedExecutor],
) -> None:
    """Fewer values than names, or a value of no type: that node is named, the others' parameters are there."""
    node, executor = asking
    found: list[Any] = []
    survey = ParameterSurvey(node, lambda text: found.append(yaml.safe_load(text)))
    deadline_s = time.monotonic() + 20
    while not found:
        assert time.monotonic() < deadline_s
        survey.poll('ep')
        executor.spin_once(timeout_sec=0.02)
    assert found[0]['/g1_01/driver'] == {'ros__parameters': {'a': 7, 'b': 7}}
    assert found[0]['/g1_01/unset_driver'] == {'no_answer': True}
    assert found[0]['/g1_01/odd_driver'] == {'no_answer': True}


def test_an_answer_that_comes_after_the_end_is_let_go(
    asking: tuple[Node, SingleThreadedExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The round's time is up after any number of callbacks, those of answers that are already here included."""
    node, executor = asking
    rounds: list[bytes] = []
    for callbacks in range(0, 24, 3):
        monkeypatch.setattr(parameter_survey, '_PATIENCE_S', 60.0)
        survey = ParameterSurvey(node, rounds.append)
        done = len(rounds)
        for _ in range(callbacks):
            survey.poll('ep')
            executor.spin_once(timeout_sec=0.05)
        monkeypatch.setattr(parameter_survey, '_PATIENCE_S', 0.0)
        while len(rounds) == done:
            survey.poll('ep')
        for _ in range(12):
            executor.spin_once(timeout_sec=0)
    assert len(rounds) == 8
