"""Which software a robot ran: attached to every bag."""

from __future__ import annotations

import json
import os
import platform
import re
from importlib import metadata
from pathlib import Path

_VERSION = re.compile(r'<version>\s*([^<\s]+)\s*</version>')
_LIBRARIES = ('mcap', 'lz4', 'zstandard', 'numpy', 'torch', 'mujoco')


def software_versions() -> bytes:
    """Return versions of the system, ROS and our packages as indented JSON."""
    found = {
        'python': platform.python_version(),
        'system': platform.platform(),
        'ros_distro': os.environ.get('ROS_DISTRO', ''),
        'rmw_implementation': os.environ.get('RMW_IMPLEMENTATION', ''),
        'packages': _ament_packages(),
        'libraries': _libraries(),
    }
    return (json.dumps(found, indent=2, sort_keys=True) + '\n').encode()


def _ament_packages() -> dict[str, str]:
    """Return the versions of our packages and of rclpy, by their package.xml in the ament index."""
    found: dict[str, str] = {}
    for prefix in filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)):
        for path in sorted(Path(prefix, 'share').glob('*/package.xml')):
            name = path.parent.name
            if name in found or not (name.startswith('lwd_') or name in ('rclpy', 'fastrtps')):
                continue
            match = _VERSION.search(path.read_text(encoding='utf-8', errors='replace'))
            found[name] = match.group(1) if match else ''
    return found


def _libraries() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
