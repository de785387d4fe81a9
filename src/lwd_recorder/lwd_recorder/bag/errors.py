"""What can be wrong with a bag."""

from __future__ import annotations

from pathlib import Path


class BagError(Exception):
    """A bag cannot be read or written; the message names the file and what is wrong."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f'{path}: {reason}')
        self.path = path
        """The file or folder at fault."""
        self.reason = reason
        """What is wrong, without the path."""
