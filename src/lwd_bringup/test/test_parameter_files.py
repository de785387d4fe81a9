"""The YAML files with parameters: every one belongs to a node, has its type, and is within its range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ament_index_python.packages import get_package_share_directory
from lwd_policy_node.kinematics import ARM_BASE, TOOLS, Chain
from lwd_policy_node.nodes import (
    arbiter_parameters,
    episode_parameters,
    teleop_node,
    teleop_parameters,
)
from lwd_policy_node.profile import load_profile

CONFIG = Path(get_package_share_directory('lwd_bringup'), 'config')
TABLES = {
    'arbiter_node': arbiter_parameters.PARAMETERS,
    'episode_node': episode_parameters.PARAMETERS,
    'teleop_node': (*teleop_node.PARAMETERS, *teleop_parameters.JOG, *teleop_parameters.JOY),
}


def parameters(name: str) -> dict[str, dict[str, Any]]:
    nodes = yaml.safe_load((CONFIG / name).read_text())['/**']
    return {node: given['ros__parameters'] for node, given in nodes.items()}


@pytest.mark.parametrize('name', ['robot.yaml', 'g1_first_motions.yaml'])
def test_nodes_know_what_they_are_told(name: str) -> None:
    for node, given in parameters(name).items():
        known = {row.name: row for row in TABLES[node]}
        for parameter, value in given.items():
            row = known[parameter]
            kind = float if row.type == list[float] else row.type
            for item in value if isinstance(value, list) else [value]:
                assert type(item) is kind, parameter
                assert row.low is None or item >= row.low, parameter
                assert row.high is None or item <= row.high, parameter


def test_first_motions_begin_inside_their_boxes() -> None:
    """And the jog asks for no more than speed:=0.1 lets through."""
    profile = load_profile('g1')
    names = list(profile.joint_names)
    given = parameters('g1_first_motions.yaml')
    for side, word in (('l', 'left'), ('r', 'right')):
        box = given['arbiter_node'][f'workspace_{word}']
        chain = Chain(TOOLS[side], ARM_BASE)
        columns = [names.index(joint) for joint in chain.joint_names]
        place = chain.pose(profile.home[columns]).position
        assert all(
            low + 0.1 < at < high - 0.1
            for low, at, high in zip(box[:3], place, box[3:], strict=True)
        )
    arms = profile.limits('velocity')[:14]
    assert given['teleop_node']['jog_joint_rad_s'] <= 0.1 * arms.min()
