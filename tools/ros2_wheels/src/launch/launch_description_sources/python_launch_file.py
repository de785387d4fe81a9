"""Launch files written in Python."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

from launch.launch_description import LaunchDescription
from launch.launch_description_source import LaunchDescriptionSource
from launch.some_substitutions_type import SomeSubstitutionsType


class InvalidPythonLaunchFileError(Exception):
    """A Python launch file does not define what it must."""


class InvalidLaunchFileError(Exception):
    """A launch file cannot be read."""


def get_launch_description_from_python_launch_file(
    python_launch_file_path: str,
) -> LaunchDescription:
    """Run a launch file and return what its generate_launch_description() returns.

    Raises:
        InvalidPythonLaunchFileError: It has no such function, or that returns something else.
    """
    loader = SourceFileLoader('python_launch_file', python_launch_file_path)
    spec = spec_from_loader(loader.name, loader)
    if spec is None:
        raise InvalidPythonLaunchFileError(f"cannot load '{python_launch_file_path}' as Python")
    module = module_from_spec(spec)
    loader.exec_module(module)
    generate = getattr(module, 'generate_launch_description', None)
    if generate is None:
        raise InvalidPythonLaunchFileError(
            f"launch file at '{python_launch_file_path}' does not contain the required function "
            "'generate_launch_description()'"
        )
    description = generate()
    if not isinstance(description, LaunchDescription):
        raise InvalidPythonLaunchFileError(
            f"generate_launch_description() of '{python_launch_file_path}' must return a "
            f'LaunchDescription, it returned {description!r}'
        )
    return description


def get_launch_description_from_any_launch_file(launch_file_path: str) -> LaunchDescription:
    """Return the description from a launch file; Python is the one kind known here.

    Raises:
        InvalidLaunchFileError: The file is an XML or YAML launch file.
    """
    if Path(launch_file_path).suffix in ('.xml', '.yaml', '.yml'):
        raise InvalidLaunchFileError(
            f"cannot read '{launch_file_path}': ros2_wheels knows Python launch files only, "
            'XML and YAML launch files need a ROS 2 install'
        )
    return get_launch_description_from_python_launch_file(launch_file_path)


class PythonLaunchDescriptionSource(LaunchDescriptionSource):
    """A Python launch file, by path."""

    def __init__(self, launch_file_path: SomeSubstitutionsType) -> None:
        super().__init__(None, launch_file_path, 'interpreted python launch file')

    def _load(self, location: str) -> LaunchDescription:
        return get_launch_description_from_python_launch_file(location)


class AnyLaunchDescriptionSource(LaunchDescriptionSource):
    """A launch file of any kind known here, by path."""

    def __init__(self, launch_file_path: SomeSubstitutionsType) -> None:
        super().__init__(None, launch_file_path, 'any launch file')

    def _load(self, location: str) -> LaunchDescription:
        return get_launch_description_from_any_launch_file(location)
