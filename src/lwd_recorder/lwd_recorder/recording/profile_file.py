"""Finds the robot profile's YAML and reads what the recorder needs of it: its name and its cameras' topics.

Its one home is lwd_policy_node, which installs the files to share/lwd_policy_node/robots; no more of them is read here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import yaml


class ProfileFileError(ValueError):
    """The robot profile is not found or malformed; the message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class ProfileFile:
    """What a robot profile says to the recorder."""

    name: str
    """As in the manifest."""
    cameras: tuple[str, ...]
    """Their topics, relative to the robot's namespace."""
    text: bytes
    """The file."""


def read_profile(name_or_path: str) -> ProfileFile:
    """Read a profile by name (through the ament index) or by path.

    Raises:
        ProfileFileError: no such file, or it has no name or cameras.
    """
    path = _path(name_or_path)
    try:
        text = path.read_bytes()
        document = yaml.safe_load(text)
        cameras = tuple(str(camera['topic']) for camera in document['cameras'])
        return ProfileFile(str(document['name']), cameras, text)
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ProfileFileError(f'robot profile {path} cannot be used: {error!r}') from error


def _path(name_or_path: str) -> Path:
    if Path(name_or_path).suffix in ('.yaml', '.yml'):
        return Path(name_or_path)
    prefixes = [p for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    for prefix in prefixes:
        path = Path(prefix, 'share', 'lwd_policy_node', 'robots', f'{name_or_path}.yaml')
        if path.is_file():
            return path
    raise ProfileFileError(
        f'no robot profile {name_or_path!r}: share/lwd_policy_node/robots/{name_or_path}.yaml is in none of the '
        f'{len(prefixes)} prefixes of AMENT_PREFIX_PATH; build lwd_policy_node, or give a path to a .yaml'
    )
