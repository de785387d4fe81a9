"""The tables of parameters in the documents are those that the nodes declare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from lwd_policy_node.nodes.parameters import Parameter
from lwd_policy_node.nodes.policy_parameters import PARAMETERS as POLICY
from lwd_sim.nodes.scripted_source import PARAMETERS as SCRIPTED

DOCS = Path(__file__).parents[3] / 'docs'


@pytest.mark.parametrize(
    ('page', 'parameters'), [('real_robot.md', POLICY), ('operator.md', SCRIPTED)]
)
def test_the_page_has_every_parameter_with_its_default(
    page: str, parameters: Sequence[Parameter]
) -> None:
    text = (DOCS / page).read_text()
    for one in parameters:
        default = str(one.default).lower() if isinstance(one.default, bool) else repr(one.default)
        row = f'| `{one.name}` | `{default}` | {one.description} |'
        assert row in text
