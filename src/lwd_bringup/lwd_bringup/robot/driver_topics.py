"""Read the YAML that says what a robot's driver calls the topics that this project knows by its own names.

Launch turns the pairs into remappings (``scope.py``). A remapping changes a name and nothing else: message types, joint
names, units and qualities of service must fit (docs/real_robot.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import yaml
from lwd_policy_node.profile import RobotProfile

_TOPIC = re.compile(r'/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*')


class DriverTopicsError(ValueError):
    """A driver file is missing or malformed; the message names the file, the entry and the remedy."""


def hardware_topics(profile: RobotProfile) -> tuple[str, ...]:
    """The topics between us and a robot's driver, by our names: cameras, joint_states, joint_command."""
    return (*(camera.topic for camera in profile.cameras), 'joint_states', 'joint_command')


def load_driver_topics(path: Path | str, known: Iterable[str]) -> list[tuple[str, str]]:
    """Read (our name, the driver's name) pairs; topics that the file leaves out have the same name on both sides.

    Args:
        path: a YAML with one mapping, ``topics``.
        known: the names of ours that may have another there.

    Raises:
        DriverTopicsError: no such file, another name for an unknown topic of ours, a name that is no topic name, or
            two topics with one name.
    """
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except OSError as error:
        raise DriverTopicsError(f'driver file {path}: {error.strerror or error}') from error
    except yaml.YAMLError as error:
        raise DriverTopicsError(f'driver file {path} is no YAML: {error}') from error
    if not isinstance(raw, dict) or set(raw) != {'topics'} or not isinstance(raw['topics'], dict):
        raise DriverTopicsError(
            f'driver file {path}: expected one mapping, topics; compare with g1_driver.yaml'
        )
    names = {name: name for name in known}
    for ours, theirs in raw['topics'].items():
        if ours == theirs:
            continue  # it changes no name, so it may be of a topic that this robot does not have
        if ours not in names:
            raise DriverTopicsError(
                f'driver file {path}: {ours!r} is no topic of a driver; known: {", ".join(names)}'
            )
        if not isinstance(theirs, str) or not _TOPIC.fullmatch(theirs):
            raise DriverTopicsError(f'driver file {path}: {ours}: {theirs!r} is no topic name')
        names[ours] = theirs
    if len(set(names.values())) < len(names):
        twice = sorted(name for name in names.values() if list(names.values()).count(name) > 1)
        raise DriverTopicsError(
            f'driver file {path}: {twice[0]!r} stands for two topics; give each its own name'
        )
    return [(ours, theirs) for ours, theirs in names.items() if ours != theirs]
