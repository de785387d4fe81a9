"""`ros2 launch`: runs a launch file, or shows its arguments."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        '-n',
        '--noninteractive',
        default=not sys.stdin.isatty(),
        action='store_true',
        help='Run the launch system non-interactively, with no terminal associated',
    )
    parser.add_argument(
        '-d',
        '--debug',
        action='store_true',
        help='Put the launch system in debug mode, provides more verbose output.',
    )
    parser.add_argument(
        '-s',
        '--show-args',
        '--show-arguments',
        action='store_true',
        help='Show arguments that may be given to the launch file.',
    )
    parser.add_argument(
        '-a',
        '--show-all-subprocesses-output',
        action='store_true',
        help="Show all launched subprocesses' output by overriding their output configuration "
        'using the OVERRIDE_LAUNCH_PROCESS_OUTPUT envvar.',
    )
    parser.add_argument(
        '--launch-prefix', help='Prefix command, which should go before all executables.'
    )
    parser.add_argument(
        '--launch-prefix-filter',
        help='Regex pattern for filtering which executables the --launch-prefix is applied to.',
    )
    parser.add_argument(
        'package_name', help='Name of the ROS package which contains the launch file, or a path'
    )
    parser.add_argument('launch_file_name', nargs='?', help='Name of the launch file')
    parser.add_argument(
        'launch_arguments',
        nargs='*',
        help="Arguments to the launch file; '<name>:=<value>' (for duplicates, last one wins)",
    )


def main(args: argparse.Namespace) -> int:
    """Launch; the exit code is that of the LaunchService."""
    from ros2_wheels.launch_file import find_launch_file, show_arguments

    given = list(args.launch_arguments)
    if Path(args.package_name).is_file():
        path = args.package_name
        if args.launch_file_name is not None:
            given.insert(0, args.launch_file_name)
    else:
        path = find_launch_file(args.package_name, args.launch_file_name)
    if args.show_args:
        return show_arguments(path)
    if args.launch_prefix:
        given.append(f'launch-prefix:={args.launch_prefix}')
    if args.launch_prefix_filter:
        given.append(f'launch-prefix-filter:={args.launch_prefix_filter}')
    if args.show_all_subprocesses_output:
        os.environ['OVERRIDE_LAUNCH_PROCESS_OUTPUT'] = 'both'

    from launch import LaunchDescription, LaunchService
    from launch.actions import IncludeLaunchDescription
    from launch.launch_description_sources import AnyLaunchDescriptionSource

    arguments = parse_launch_arguments(given)
    service = LaunchService(argv=given, noninteractive=args.noninteractive, debug=args.debug)
    source = AnyLaunchDescriptionSource(path)
    service.include_launch_description(
        LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments.items())])
    )
    return service.run()


def parse_launch_arguments(arguments: list[str]) -> dict[str, str]:
    """Return name -> value of '<name>:=<value>' arguments; of duplicates the last wins.

    Raises:
        RuntimeError: An argument does not look so.
    """
    parsed: dict[str, str] = {}
    for argument in arguments:
        name, separator, value = argument.partition(':=')
        if not (name and separator and value):
            raise RuntimeError(
                f"malformed launch argument '{argument}', expected format '<name>:=<value>'"
            )
        parsed[name] = value
    return parsed
