"""Finds launch files in packages and shows their arguments."""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch.launch_description_sources import get_launch_description_from_any_launch_file


def find_launch_file(package_name: str, file_name: str | None) -> str:
    """Return the path of a launch file somewhere in a package's share folder.

    Raises:
        RuntimeError: The package is not there, or not exactly one such file is in it.
    """
    if '/' in package_name:
        raise RuntimeError(f"No launch file supplied: '{package_name}' does not exist")
    if file_name is None:
        raise RuntimeError('two arguments are required: package_name and launch_file_name')
    try:
        share = get_package_share_directory(package_name)
    except (PackageNotFoundError, ValueError) as error:
        raise RuntimeError(f"Package '{package_name}' not found: {error}") from error
    found = sorted(str(path) for path in Path(share).rglob(file_name) if path.is_file())
    if not found:
        raise RuntimeError(
            f"file '{file_name}' was not found in the share directory of package "
            f"'{package_name}' which is at '{share}'"
        )
    if len(found) > 1:
        raise RuntimeError(
            f"file '{file_name}' was found more than once in the share directory of package "
            f"'{package_name}': {found}"
        )
    return found[0]


def show_arguments(path: str) -> int:
    """Print the arguments of a launch file, with descriptions and defaults."""
    print("Arguments (pass arguments as '<name>:=<value>'):")
    arguments = get_launch_description_from_any_launch_file(path).get_launch_arguments()
    for argument in arguments:
        mark = '*' if argument.conditionally_included else ''
        print(f"\n    '{argument.name}':{mark}\n        {argument.description}")
        if argument.default_value is not None:
            default = ' + '.join(part.describe() for part in argument.default_value)
            print(f'        (default: {default})')
    if not arguments:
        print('\n  No arguments.')
    elif any(argument.conditionally_included for argument in arguments):
        print('\n* argument(s) which are only used if specific conditions occur')
    return 0
