"""The YAML files with parameters: every one belongs to a node, has its type, and is within its range."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml
from ament_index_python.packages import get_package_share_directory
from lwd_bringup.robot.parameter_file import (
    SOURCES,
    ParameterFileError,
    check_parameter_file,
)
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


@pytest.mark.parametrize(
    'text',
    [
        '/**: {ros__parameters: {pause_s: 1.0, my_camera_rate: 5}}',
        '/**: {ros__parameters: {use_sim_time: true, qos_overrides: {/scan: {depth: 1}}}}',
        '/g1_01: {arbiter_node: {ros__parameters: {velocity_scale: 0.1}}}',
        'camera_driver: {ros__parameters: {velocity_scole: 0.1}}',
        '/**/teleop_node: {ros__parameters: {source: leader_arm, joy_topic: pedal, operator_stages: 2}}',
        '/g1_02: {teleop_node: {ros__parameters: {source: vr_gloves, palm_scale: 2.0}}}',
    ],
)
def test_a_file_that_somebody_reads_passes(tmp_path: Path, text: str) -> None:
    path = tmp_path / 'parameters.yaml'
    path.write_text(text)
    check_parameter_file(path, 'scripted')


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        (
            '/**: {arbiter_node: {ros__parameters: {velocty_scale: 0.1}}}',
            'velocty_scale is no parameter of **/arbiter_node; is velocity_scale meant?',
        ),
        (
            '/g1_01/arbiter_node: {ros__parameters: {slowly: true}}',
            'slowly is no parameter of g1_01/arbiter_node; it has: ',
        ),
        (
            '/**: {ros__parameters: {velocty_scale: 0.1}}',
            'velocty_scale is no parameter of any node; is velocity_scale meant?',
        ),
        (
            'arbiter_node: {ros__parameters: {velocity_scale: 0.1}}',
            "arbiter_node is not in a robot's namespace, so that no node reads it; put it below /**",
        ),
        (
            'arbitr_node: {ros__parameters: {velocity_scale: 0.1}}',
            '/arbitr_node is no node of a robot; is arbiter_node meant?',
        ),
        (
            '/*/arbiter_node: {ros__parameters: {workspace: {left: [0.0]}}}',
            'workspace.left is no parameter of */arbiter_node; is workspace_left meant?',
        ),
        (
            '/**: {teleop_node: {ros__parameters: {palm_scale: 2.0}}}',
            'palm_scale is no parameter of **/teleop_node',
        ),
    ],
)
def test_a_name_that_nobody_reads_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / 'parameters.yaml'
    path.write_text(text)
    with pytest.raises(ParameterFileError) as caught:
        check_parameter_file(path, 'scripted')
    assert said in str(caught.value)


def test_every_source_of_ours_has_its_parameters_known() -> None:
    ours = {
        entry.name
        for entry in entry_points(group='lwd.teleop_source')
        if entry.value.startswith('lwd_')
    }
    assert set(SOURCES) == ours
