"""`ros2 pkg prefix`."""

from __future__ import annotations

import argparse

from ros2_wheels.packages import prefix_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument('package_name', help='The package name')
    parser.add_argument(
        '--share', action='store_true', help='Show share directory for the package'
    )


def main(args: argparse.Namespace) -> str | None:
    """Print the prefix of a package."""
    try:
        prefix = prefix_of(args.package_name)
    except RuntimeError:
        return 'Package not found'
    print(prefix / 'share' / args.package_name if args.share else prefix)
    return None
