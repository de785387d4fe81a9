"""Where a launch description comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launch import logging as launch_logging
from launch.launch_description import LaunchDescription
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext


class LaunchDescriptionSource:
    """A launch description, or the place from which to load it."""

    def __init__(
        self,
        launch_description: LaunchDescription | None = None,
        location: SomeSubstitutionsType = '<string>',
        method: str = 'unspecified mechanism from a script',
    ) -> None:
        self._launch_description = launch_description
        self._location = normalize_to_list_of_substitutions(location)
        self._expanded_location: str | None = None
        self._method = method

    @property
    def location(self) -> str:
        """The path once loaded, otherwise a description of it."""
        if self._expanded_location is not None:
            return self._expanded_location
        return ' + '.join(part.describe() for part in self._location)

    @property
    def method(self) -> str:
        """How the description was made."""
        return self._method

    def try_get_launch_description_without_context(self) -> LaunchDescription | None:
        """Load before launching, e.g. to list arguments; None if that is not possible."""
        from launch.launch_context import LaunchContext

        if self._launch_description is None:
            try:
                path = perform_substitutions(LaunchContext(), self._location)
                return self._load(path)
            except Exception as error:  # a launch file may raise anything; reported when it runs
                launch_logging.get_logger('launch').debug(
                    f'could not load {self.location} before launching: {error}'
                )
        return self._launch_description

    def get_launch_description(self, context: LaunchContext) -> LaunchDescription:
        """Return the description, loaded on the first call."""
        if self._expanded_location is None:
            self._expanded_location = perform_substitutions(context, self._location)
        if self._launch_description is None:
            self._launch_description = self._load(self._expanded_location)
        return self._launch_description

    def _load(self, location: str) -> LaunchDescription:
        raise RuntimeError(f'no launch description was given for the location {location!r}')
