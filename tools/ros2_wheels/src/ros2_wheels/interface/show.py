"""`ros2 interface show`."""

from __future__ import annotations

import argparse
import sys

from ros2_wheels.interface_files import definition_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        '--all-comments',
        action='store_true',
        help='Show all comments, including for nested interface definitions',
    )
    group.add_argument('--no-comments', action='store_true', help='Show no comments or whitespace')
    parser.add_argument(
        'type',
        help="Show an interface definition (e.g. 'std_msgs/msg/String'). Passing '-' reads the "
        'argument from stdin.',
    )


def main(args: argparse.Namespace) -> None:
    """Print the definition of an interface, nested ones indented below their fields."""
    name = sys.stdin.readline().strip() if args.type == '-' else args.type
    for line in definition_lines(
        name, comments=not args.no_comments, nested_comments=args.all_comments
    ):
        print(line)
