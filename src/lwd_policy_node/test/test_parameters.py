"""A node's parameters: declared from a table with their types, refused when they do not fit it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
from lwd_policy_node.nodes import (
    arbiter_parameters,
    episode_parameters,
    operator_link,
    policy_parameters,
    teleop_node,
    teleop_parameters,
)
from lwd_policy_node.nodes.parameters import Parameter, declare, robot_of
from lwd_policy_node.nodes.process import StartError
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

TABLES = {
    'arbiter_node': arbiter_parameters.PARAMETERS,
    'episode_node': episode_parameters.PARAMETERS,
    'policy_node': policy_parameters.PARAMETERS,
    'teleop_node': teleop_node.PARAMETERS + operator_link.PARAMETERS,
    'teleop_sources': teleop_parameters.JOG
    + teleop_parameters.JOY
    + teleop_parameters.GAMEPAD
    + teleop_parameters.KEYBOARD
    + teleop_parameters.LEADER,
}
KINDS = {
    list[str]: RosParameter.Type.STRING_ARRAY,
    list[int]: RosParameter.Type.INTEGER_ARRAY,
    list[float]: RosParameter.Type.DOUBLE_ARRAY,
}


@pytest.fixture
def make_node() -> Iterator[Callable[..., Node]]:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=119)
    nodes = []

    def make(namespace: str = '', **overrides: Any) -> Node:
        given = [RosParameter(name, value=value) for name, value in overrides.items()]
        nodes.append(
            Node('table', context=context, parameter_overrides=given, namespace=namespace)
        )
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize('kind', KINDS, ids=str)
def test_an_empty_list_keeps_its_type(make_node: Callable[..., Node], kind: Any) -> None:
    """As a default; a list given instead is taken, one of another type is refused, and none is set later."""
    row = Parameter('things', kind, [], 'What there is.')
    given = [kind.__args__[0](3)]
    wrong = [True]

    node = make_node()
    assert declare(node, (row,)) == {'things': []}
    assert node.get_parameter('things').type_ == KINDS[kind]
    described = node.describe_parameter('things')
    assert (described.type, described.read_only) == (KINDS[kind].value, True)
    assert described.description == 'What there is.'
    (result,) = node.set_parameters([RosParameter('things', KINDS[kind], given)])
    assert not result.successful

    assert declare(make_node(things=given), (row,)) == {'things': given}
    with pytest.raises(InvalidParameterTypeException):
        declare(make_node(things=wrong), (row,))


def test_a_writable_empty_list_can_be_set(make_node: Callable[..., Node]) -> None:
    node = make_node()
    declare(node, (Parameter('things', list[str], [], 'What there is.', read_only=False),))
    (result,) = node.set_parameters([RosParameter('things', value=['a', 'b'])])
    assert result.successful and node.get_parameter('things').value == ['a', 'b']


def test_what_does_not_fit_the_table_is_refused(make_node: Callable[..., Node]) -> None:
    rows = (
        Parameter('size', float, 1.0, 'In m.', 0.0, 2.0),
        Parameter('kind', str, 'a', 'Which.', choices=('a', 'b')),
    )
    assert declare(make_node(size=2.0, kind='b'), rows) == {'size': 2.0, 'kind': 'b'}
    with pytest.raises(InvalidParameterValueException):
        declare(make_node(size=2.1), rows)
    with pytest.raises(InvalidParameterTypeException):
        declare(make_node(size='big'), rows)
    with pytest.raises(InvalidParameterValueException, match='known values: a, b'):
        declare(make_node(kind='c'), rows)


def test_a_robot_is_called_as_it_is_told_or_by_its_namespace(
    make_node: Callable[..., Node],
) -> None:
    assert robot_of(make_node('/g1_01'), '') == 'g1_01'
    assert robot_of(make_node('/g1_01'), 'lab') == 'lab'
    with pytest.raises(StartError, match='set robot_id'):
        robot_of(make_node(), '')


@pytest.mark.parametrize('node_name', TABLES)
def test_every_parameter_is_described_and_every_number_has_a_range(node_name: str) -> None:
    table = TABLES[node_name]
    assert len({row.name for row in table}) == len(table)
    for row in table:
        assert len(row.description) > 10 and row.description.endswith('.'), row.name
        if row.type in (int, float):
            assert row.low is not None or row.high is not None, f'{row.name} has no range'
            assert row.low is None or row.default >= row.low, row.name
            assert row.high is None or row.default <= row.high, row.name
