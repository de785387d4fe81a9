#!/usr/bin/env python3
"""Write requirements/*.lock from what is installed in the environment (run with its Python).

Three files: ros.lock (ROS 2 and colcon wheels, for machines without a ROS install), torch.lock (with its dependencies,
since a CPU build and a CUDA build need different ones), lwd.lock (everything else).
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[2] / 'requirements'
OURS = ('lwd', 'ros2-wheels')
ROS = ('ros-', 'colcon-', 'catkin', 'empy', 'lark-parser', 'pybind11', 'notify2')


def main() -> None:
    """Sort the installed distributions into the three files."""
    lines: dict[str, set[str]] = {'ros': set(), 'torch': set(), 'lwd': set()}
    for dist in metadata.distributions():
        name = dist.metadata['Name'].lower().replace('_', '-')
        if (
            (dist.read_text('INSTALLER') or '').strip() != 'pip'
            or name == 'pip'
            or name.startswith(OURS)
        ):
            continue
        kind = 'torch' if name == 'torch' else 'ros' if name.startswith(ROS) else 'lwd'
        lines[kind].add(f'{name}=={dist.version.split("+")[0]}')
    for kind, pins in lines.items():
        path = REQUIREMENTS / f'{kind}.lock'
        path.write_text(
            '# Made by tools/setup/lock.py; change requirements/*.in, install, and run it again.\n'
        )
        with path.open('a') as file:
            file.write('\n'.join(sorted(pins)) + '\n')
        print(f'{path.name}: {len(pins)} packages')


if __name__ == '__main__':
    main()
