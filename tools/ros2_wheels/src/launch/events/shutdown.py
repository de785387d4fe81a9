"""The launch is to end."""

from __future__ import annotations

from launch.event import Event


class Shutdown(Event):
    """The launch is to end, and its processes with it."""

    name = 'launch.events.Shutdown'

    def __init__(self, *, reason: str = 'reason not given', due_to_sigint: bool = False) -> None:
        self._reason = reason
        self._due_to_sigint = due_to_sigint

    @property
    def reason(self) -> str:
        """Why, in words."""
        return self._reason

    @property
    def due_to_sigint(self) -> bool:
        """Whether Ctrl-C caused it."""
        return self._due_to_sigint
