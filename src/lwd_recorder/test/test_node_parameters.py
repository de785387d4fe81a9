"""The parameters of recorder and uploader: described, in ranges, and those of their configurations."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rclpy
from lwd_policy_node.nodes.parameters import Parameter, declare
from lwd_recorder.delivery import UploaderConfig
from lwd_recorder.nodes import recorder_parameters, uploader_node
from lwd_recorder.recording import RecorderConfig
from lwd_recorder.store import StoreOptions
from rclpy.node import Node

TABLES = [
    pytest.param(recorder_parameters.PARAMETERS, (RecorderConfig,), id='recorder_node'),
    pytest.param(uploader_node.PARAMETERS, (UploaderConfig, StoreOptions), id='uploader_node'),
]


@pytest.fixture
def node() -> Iterator[Node]:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=218)
    node = Node('table', context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize(('table', 'configs'), TABLES)
def test_defaults_are_those_of_the_configurations(
    node: Node, table: tuple[Parameter, ...], configs: tuple[type, ...]
) -> None:
    """And every field of them can be set."""
    values = declare(node, table)
    for config in configs:
        fields = config.__dataclass_fields__
        assert config(**{name: values[name] for name in fields}) == config()


@pytest.mark.parametrize(('table', 'configs'), TABLES)
def test_every_parameter_is_described_and_every_number_has_a_range(
    table: tuple[Parameter, ...], configs: tuple[type, ...]
) -> None:
    assert len({row.name for row in table}) == len(table)
    for row in table:
        assert len(row.description) > 10 and row.description.endswith('.'), row.name
        if row.type in (int, float):
            assert row.low is not None and row.high is not None, f'{row.name} has no range'
            assert row.low <= row.default <= row.high, row.name
