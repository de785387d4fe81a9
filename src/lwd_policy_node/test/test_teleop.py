"""Teleoperation sources: found by name, published while the deadman is held."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lwd_policy_node.nodes import qos, teleop_parameters
from lwd_policy_node.nodes.operator_link import PARAMETERS
from lwd_policy_node.teleop import SourceError, known_sources, load_source

from lwd_msgs.msg import TeleopCommand


def test_sources_are_found_by_entry_point() -> None:
    assert {'gamepad', 'keyboard', 'leader_arm', 'none'} <= set(known_sources())
    for name in ('gamepad', 'keyboard', 'leader_arm'):
        assert callable(load_source(name).poll)
    assert load_source('none')(None).poll(0.0) is None
    with pytest.raises(SourceError, match=r"no teleop source 'pedal'; known: .*none"):
        load_source('pedal')


@pytest.mark.launch
def test_unknown_source_is_one_clear_line(make_bench: Callable[..., Any]) -> None:
    """A typing error in a launch file: exit code 2 and the names that are known."""
    bench = make_bench(125, 'g1_01')
    process = bench.start('teleop_node', source='pedal')
    assert process.wait(timeout=20) == 2


@pytest.mark.launch
@pytest.mark.parametrize('program', ['arbiter_node', 'teleop_node'])
def test_a_wrong_profile_is_one_clear_line(
    program: str, make_bench: Callable[..., Any], tmp_path: Path, capfd: Any
) -> None:
    """A slip in the robot's YAML: exit code 2, the file's name, and no traceback."""
    broken = tmp_path / 'mine.yaml'
    broken.write_text('name: [g1')
    bench = make_bench(125, 'g1_01')
    assert bench.start(program, profile=broken).wait(timeout=20) == 2
    said = capfd.readouterr().err
    assert f'ProfileError: robot profile {broken} is not YAML' in said and 'Traceback' not in said


@pytest.mark.launch
def test_deadman_edges_are_published(make_bench: Callable[..., Any]) -> None:
    """Commands at the control rate while held, then exactly one release."""
    bench = make_bench(126, 'g1_01')
    commands = bench.collect(TeleopCommand, 'teleop/command', qos.TELEOP_READER)
    node = bench.start('blink_teleop')
    bench.wait('two spells', lambda: sum(not c.deadman for c in commands) >= 2)
    first, second = [index for index, c in enumerate(commands) if not c.deadman][:2]
    spell = commands[first + 1 : second]
    assert spell and all(c.deadman and c.reason == 'stall' for c in spell)
    assert all(len(c.position) == 16 and len(c.joint_names) == 16 for c in spell)
    assert not commands[first].joint_names
    try:
        assert bench.stop(node) == 0
    except subprocess.TimeoutExpired:
        pytest.fail('teleop_node did not leave on SIGTERM')


def test_the_operators_page_has_every_parameter_with_its_default() -> None:
    page = (Path(__file__).parents[3] / 'docs' / 'operator.md').read_text()
    tables = teleop_parameters
    rows = (
        *PARAMETERS,
        *tables.JOG,
        *tables.JOY,
        *tables.GAMEPAD,
        *tables.KEYBOARD,
        *tables.LEADER,
    )
    for row in rows:
        assert f'| `{row.name}` | `{row.default}` | {row.description} |' in page
