"""`ros2 run`: replaces itself by an executable of a package."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil

from ros2_wheels.packages import executables_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        '--prefix',
        help='Prefix command, which should go before the executable. Command must be wrapped in '
        "quotes if it contains spaces (e.g. --prefix 'gdb -ex run --args').",
    )
    parser.add_argument('package_name', help='Name of the ROS package')
    parser.add_argument('executable_name', help='Name of the executable')
    parser.add_argument(
        'argv', nargs=argparse.REMAINDER, help='Pass arbitrary arguments to the executable'
    )


def main(args: argparse.Namespace) -> str:
    """Run the executable; signals and the exit code are its own."""
    found = [
        path for path in executables_of(args.package_name) if path.name == args.executable_name
    ]
    if not found:
        return 'No executable found'
    if len(found) > 1:
        return '\n- '.join(['Multiple executables found:', *map(str, found)])
    command = [*shlex.split(args.prefix or ''), str(found[0]), *args.argv]
    if shutil.which(command[0]) is None:
        return f"prefix command '{command[0]}' not found"
    return os.execvp(command[0], command)
