"""Read what `params_file` says before a node does: ROS passes over a name that no node declares without a word.

A misspelt `velocity_scale` would leave a robot at full speed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from lwd_policy_node.nodes import (
    arbiter_parameters,
    episode_parameters,
    operator_link,
    policy_parameters,
    teleop_node,
    teleop_parameters,
)
from lwd_recorder.nodes import recorder_parameters, uploader_node
from lwd_sim.nodes import scripted_source, sim_parameters

ROS_OWN = ('use_sim_time', 'start_type_description_service', 'qos_overrides')
"""What every node takes; the last one with a topic and a policy behind it."""

PARAMETERS: dict[str, frozenset[str]] = {
    node: frozenset(row.name for table in tables for row in table)
    for node, tables in {
        'arbiter_node': (arbiter_parameters.PARAMETERS,),
        'episode_node': (episode_parameters.PARAMETERS,),
        'policy_node': (policy_parameters.PARAMETERS,),
        'recorder_node': (recorder_parameters.PARAMETERS,),
        'sim_node': (sim_parameters.PARAMETERS,),
        'teleop_node': (
            teleop_node.PARAMETERS,
            operator_link.PARAMETERS,
            teleop_parameters.JOG,
            teleop_parameters.JOY,
            teleop_parameters.GAMEPAD,
            teleop_parameters.KEYBOARD,
            teleop_parameters.LEADER,
            scripted_source.PARAMETERS,
        ),
        'uploader_node': (uploader_node.PARAMETERS,),
    }.items()
}
"""Names by node, those of all teleoperation sources of ours with `teleop_node`."""

SOURCES = ('gamepad', 'keyboard', 'leader_arm', 'none', 'scripted')
"""Teleoperation sources whose parameters are known here."""

_ALIKE = 0.85  # of difflib's ratio: likely a slip, not another program's name


class ParameterFileError(ValueError):
    """A parameter file is missing or malformed, or names what nobody has; the message says what, and the remedy."""


def check_parameter_file(path: Path | str, teleop: str) -> None:
    """Refuse a file that a robot's nodes would pass over, wholly or in part.

    A node of ours must stand in a namespace (of a robot, or `/**`), and know every name below its own; of all nodes'
    names (`/**`), and of nodes that are not ours, only one that looks like a slip is refused, as other programs may
    read the same file.

    Args:
        path: a YAML with node names and `ros__parameters` below.
        teleop: the teleoperation source; one that is not ours, here or in the file, has parameters of its own.

    Raises:
        ParameterFileError: no such file, no such YAML, or a name that nobody has.
    """
    try:
        nodes = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except OSError as error:
        raise ParameterFileError(
            f'params_file:={path}: {error.strerror or error}; give the path of a YAML of parameters'
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterFileError(f'params_file:={path} is no YAML: {error}') from error
    if not isinstance(nodes, dict):
        raise ParameterFileError(
            f'params_file:={path}: expected node names with ros__parameters below; compare with robot.yaml'
        )
    sections = list(_sections(nodes, ''))
    sources = {teleop, *(given['source'] for _, given in sections if 'source' in given)}
    open_ended = frozenset() if sources <= set(SOURCES) else frozenset({'teleop_node'})
    for where, given in sections:
        _check_node(path, where)
        for name in _names(given, ''):
            _check_name(path, where, name, open_ended)


def _sections(tree: Mapping[Any, Any], where: str) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Every `ros__parameters` with the path of its node."""
    for key, below in tree.items():
        if not isinstance(below, dict):
            continue
        if key == 'ros__parameters':
            yield where, below
        else:
            yield from _sections(below, f'{where}/{key}'.replace('//', '/'))


def _names(given: Mapping[Any, Any], prefix: str) -> Iterator[str]:
    for key, value in given.items():
        if isinstance(value, dict):
            yield from _names(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}'


def _check_node(path: Path | str, where: str) -> None:
    namespace, _, node = where.rpartition('/')
    if node in PARAMETERS and not namespace:
        raise ParameterFileError(
            f"params_file:={path}: {node} is not in a robot's namespace, so that no node reads it; "
            f'put it below /**, as in robot.yaml'
        )
    if node not in PARAMETERS and (meant := get_close_matches(node, PARAMETERS, 1, _ALIKE)):
        raise ParameterFileError(
            f'params_file:={path}: {where} is no node of a robot; is {meant[0]} meant?'
        )


def _check_name(path: Path | str, where: str, name: str, open_ended: frozenset[str]) -> None:
    if name.split('.')[0] in ROS_OWN:
        return
    node = where.rsplit('/', 1)[-1]
    everywhere = frozenset().union(*PARAMETERS.values())
    known = PARAMETERS.get(node, everywhere)
    if name in known:
        return
    meant = get_close_matches(name, sorted(known), 1, _ALIKE)
    if node in open_ended or (node not in PARAMETERS and not ('*' in node and meant)):
        return
    whose = where.lstrip('/') if node in PARAMETERS else 'any node'
    remedy = f'is {meant[0]} meant?' if meant else f'it has: {", ".join(sorted(known))}'
    raise ParameterFileError(f'params_file:={path}: {name} is no parameter of {whose}; {remedy}')
