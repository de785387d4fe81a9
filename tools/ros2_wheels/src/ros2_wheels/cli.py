"""Entry point of `ros2`: finds the module of a verb, and imports nothing else."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from typing import TextIO

from ros2_wheels.command_table import COMMANDS, Command

_SUBSET = 'ros2_wheels, the ros2 command for machines without a ROS 2 install'


def main(argv: Sequence[str] | None = None) -> int:
    """Run `ros2 <command> [<verb>] ...`.

    Args:
        argv: Arguments after `ros2`; by default those of the process.

    Returns:
        The exit code: 0, 1 for a failure, 2 for a wrong command line, 128 + n never: as
        ROS 2's own, the bare number of the signal that ended a verb.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ['--use-python-default-buffering']:
        del arguments[0]
    elif hasattr(sys.stdout, 'reconfigure'):
        sys.stdout.reconfigure(line_buffering=True)
    if not arguments or arguments[0] in ('-h', '--help'):
        _print_commands(sys.stdout)
        return 0
    name = arguments.pop(0)
    if name not in COMMANDS:
        return _reject('ros2', name, list(COMMANDS))
    command = COMMANDS[name]
    if not command.verbs:
        return _run(f'ros2 {name}', f'ros2_wheels.{name}_command', command.summary, arguments)
    if not arguments or arguments[0] in ('-h', '--help'):
        _print_verbs(name, command, sys.stdout)
        return 0
    verb = arguments.pop(0)
    if verb not in command.verbs:
        return _reject(f'ros2 {name}', verb, list(command.verbs))
    return _run(
        f'ros2 {name} {verb}', f'ros2_wheels.{name}.{verb}', command.verbs[verb], arguments
    )


def _run(program: str, module_name: str, summary: str, arguments: list[str]) -> int:
    module = importlib.import_module(module_name)
    parser = argparse.ArgumentParser(prog=program, description=summary)
    module.add_arguments(parser)
    args = parser.parse_args(arguments)
    try:
        result = module.main(args)
    except KeyboardInterrupt:
        return int(signal.SIGINT)
    except BrokenPipeError:  # e.g. `ros2 topic echo ... | head`
        sys.stdout = None
        return 1
    except RuntimeError as error:
        result = str(error)
    if isinstance(result, str):
        print(result, file=sys.stderr)
        return 1
    return result or 0


def _reject(program: str, name: str, known: list[str]) -> int:
    print(
        f"{program}: error: '{name}' is not provided by {_SUBSET}; choose from {', '.join(known)}",
        file=sys.stderr,
    )
    return 2


def _print_commands(out: TextIO) -> None:
    print('usage: ros2 [-h] [--use-python-default-buffering] <command> ...\n', file=out)
    print(f'{_SUBSET}.\n\nCommands:', file=out)
    for name, command in COMMANDS.items():
        print(f'  {name:10} {command.summary}', file=out)
    print('\n  Call `ros2 <command> -h` for more detailed usage.', file=out)


def _print_verbs(name: str, command: Command, out: TextIO) -> None:
    print(f'usage: ros2 {name} [-h] <verb> ...\n\n{command.summary}\n\nCommands:', file=out)
    for verb, summary in command.verbs.items():
        print(f'  {verb:12} {summary}', file=out)
    print(f'\n  Call `ros2 {name} <verb> -h` for more detailed usage.', file=out)


if __name__ == '__main__':
    sys.exit(main())
