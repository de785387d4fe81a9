"""`ros2 interface list`."""

from __future__ import annotations

import argparse

from ros2_wheels.interface_files import interface_names

_TITLES = {'msg': 'Messages', 'srv': 'Services', 'action': 'Actions'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        '-m', '--only-msgs', action='store_true', help='Print out only the message types'
    )
    parser.add_argument(
        '-s', '--only-srvs', action='store_true', help='Print out only the service types'
    )
    parser.add_argument(
        '-a', '--only-actions', action='store_true', help='Print out only the action types'
    )


def main(args: argparse.Namespace) -> None:
    """Print the installed interfaces."""
    chosen = {'msg': args.only_msgs, 'srv': args.only_srvs, 'action': args.only_actions}
    names = interface_names()
    for kind, title in _TITLES.items():
        if chosen[kind] or not any(chosen.values()):
            print(f'{title}:')
            for name in names:
                if name.split('/')[1] == kind:
                    print(f'    {name}')
