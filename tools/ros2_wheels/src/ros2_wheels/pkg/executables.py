"""`ros2 pkg executables`."""

from __future__ import annotations

import argparse

from ament_index_python.packages import get_packages_with_prefixes

from ros2_wheels.packages import executables_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument('package_name', nargs='?', help='The package name')
    parser.add_argument(
        '--full-path', action='store_true', help='Show full path of each executable'
    )


def main(args: argparse.Namespace) -> None:
    """Print the executables of a package, or of all."""
    if args.package_name is None:
        names = sorted(get_packages_with_prefixes())
    else:
        names = [args.package_name]
    for name in names:
        for path in executables_of(name):
            print(path if args.full_path else f'{name} {path.name}')
