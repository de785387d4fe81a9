"""Constant text."""

from __future__ import annotations

from launch.launch_context import LaunchContext
from launch.substitution import Substitution


class TextSubstitution(Substitution):
    """Constant text."""

    def __init__(self, *, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f'TextSubstitution expects text, got {text!r}')
        self._text = text

    @property
    def text(self) -> str:
        """The text."""
        return self._text

    def describe(self) -> str:
        """Return the quoted text."""
        return f"'{self._text}'"

    def perform(self, context: LaunchContext) -> str:
        """Return the text."""
        return self._text
