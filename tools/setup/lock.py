#!/usr/bin/env python3
"""Write requirements/*.lock from what is installed in the environment (run with its Python).

ros.lock (ROS 2 wheels, for machines without a ROS install), build.lock (colcon and what generates messages, for all),
torch.lock (with its dependencies, since a CPU build and a CUDA build need different ones), lwd.lock (everything else),
and, where OGBench is installed, ogbench.lock (what only bench/ogbench needs).
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[2] / 'requirements'
OURS = ('lwd', 'ros2-wheels')
ROS = ('ros-', 'pybind11')
BUILD = ('colcon-', 'catkin', 'empy', 'lark-parser', 'notify2')
# OGBench and what came with it that nothing else of ours needs.
OGBENCH = (
    'attrs',
    'certifi',
    'charset-normalizer',
    'cloudpickle',
    'dm-control',
    'dm-env',
    'dm-tree',
    'farama-notifications',
    'gymnasium',
    'imageio',
    'labmaze',
    'lxml',
    'ogbench',
    'requests',
    'scipy',
    'wrapt',
)


def main() -> None:
    """Sort the installed distributions into the files."""
    kinds = ('ros', 'build', 'torch', 'lwd', 'ogbench')
    lines: dict[str, set[str]] = {kind: set() for kind in kinds}
    for dist in metadata.distributions():
        name = dist.metadata['Name'].lower().replace('_', '-')
        if (
            (dist.read_text('INSTALLER') or '').strip() != 'pip'
            or name == 'pip'
            or name.startswith(OURS)
        ):
            continue
        lines[kind_of(name)].add(f'{name}=={dist.version.split("+")[0]}')
    for kind, pins in lines.items():
        if not pins:
            continue
        path = REQUIREMENTS / f'{kind}.lock'
        path.write_text(
            '# Made by tools/setup/lock.py; change requirements/*.in, install, and run it again.\n'
        )
        with path.open('a') as file:
            file.write('\n'.join(sorted(pins)) + '\n')
        print(f'{path.name}: {len(pins)} packages')


def kind_of(name: str) -> str:
    """The file that a distribution belongs to."""
    if name in OGBENCH:
        return 'ogbench'
    if name.startswith(ROS):
        return 'ros'
    if name.startswith(BUILD):
        return 'build'
    return 'torch' if name == 'torch' else 'lwd'


if __name__ == '__main__':
    main()
