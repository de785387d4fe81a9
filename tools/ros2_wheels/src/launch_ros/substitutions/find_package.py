"""Folders of installed packages, and their executables."""

from __future__ import annotations

import os
from pathlib import Path

from ament_index_python.packages import get_package_prefix, get_package_share_directory
from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.substitutions import SubstitutionFailure
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions


class FindPackage(Substitution):
    """A folder of a package."""

    def __init__(self, package: SomeSubstitutionsType) -> None:
        self._package = normalize_to_list_of_substitutions(package)

    @property
    def package(self) -> list[Substitution]:
        """The name of the package."""
        return self._package

    def find(self, package_name: str) -> str:
        """Return the folder.

        Raises:
            PackageNotFoundError: The package is in no prefix of AMENT_PREFIX_PATH.
        """
        raise NotImplementedError

    def describe(self) -> str:
        """Return a short description."""
        package = ' + '.join(part.describe() for part in self._package)
        return f'{type(self).__name__}(pkg={package})'

    def perform(self, context: LaunchContext) -> str:
        """Return the folder."""
        return self.find(perform_substitutions(context, self._package))


class FindPackagePrefix(FindPackage):
    """The prefix into which a package is installed."""

    def find(self, package_name: str) -> str:
        """Return the prefix."""
        return str(get_package_prefix(package_name))


class FindPackageShare(FindPackage):
    """The share folder of a package."""

    def find(self, package_name: str) -> str:
        """Return `<prefix>/share/<package>`."""
        return str(get_package_share_directory(package_name))


class ExecutableInPackage(FindPackagePrefix):
    """The path of an executable in `<prefix>/lib/<package>`."""

    def __init__(self, executable: SomeSubstitutionsType, package: SomeSubstitutionsType) -> None:
        super().__init__(package)
        self._executable = normalize_to_list_of_substitutions(executable)

    @property
    def executable(self) -> list[Substitution]:
        """The name of the executable."""
        return self._executable

    def describe(self) -> str:
        """Return a short description."""
        package = ' + '.join(part.describe() for part in self._package)
        executable = ' + '.join(part.describe() for part in self._executable)
        return f'ExecInPkg(pkg={package}, exec={executable})'

    def perform(self, context: LaunchContext) -> str:
        """Return the path.

        Raises:
            SubstitutionFailure: The package has no such executable.
        """
        package = perform_substitutions(context, self._package)
        executable = perform_substitutions(context, self._executable)
        prefix = self.find(package)
        directory = Path(prefix) / 'lib' / package
        if not directory.is_dir():
            raise SubstitutionFailure(
                f"package '{package}' found at '{prefix}', but libexec directory "
                f"'{directory}' does not exist"
            )
        path = directory / executable
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise SubstitutionFailure(
                f"executable '{executable}' not found on the libexec directory '{directory}'"
            )
        return str(path)
