"""The launch file being visited, and its folder."""

from __future__ import annotations

from launch.launch_context import LaunchContext
from launch.substitution import Substitution
from launch.substitutions.substitution_failure import SubstitutionFailure


class ThisLaunchFile(Substitution):
    """The absolute path of the current launch file."""

    _local = 'current_launch_file_path'

    def describe(self) -> str:
        """Return a short description."""
        return f'{type(self).__name__}()'

    def perform(self, context: LaunchContext) -> str:
        """Return the path.

        Raises:
            SubstitutionFailure: There is no current launch file.
        """
        values = context.get_locals_as_dict()
        if self._local not in values:
            raise SubstitutionFailure(
                f'{type(self).__name__} used outside of a launch file (in a script)'
            )
        return str(values[self._local])


class ThisLaunchFileDir(ThisLaunchFile):
    """The absolute path of the folder of the current launch file."""

    _local = 'current_launch_file_directory'
