"""Base class of everything that becomes text at launch time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext


class Substitution:
    """Text that is known only while launching."""

    def describe(self) -> str:
        """Return a short description, shown by ``ros2 launch --show-args``."""
        return repr(self)

    def perform(self, context: LaunchContext) -> str:
        """Return the text in the given context."""
        raise NotImplementedError(f'{type(self).__name__} does not define perform()')
