"""What a bag holds besides messages: files that say how the robot was set up."""

from __future__ import annotations

from typing import NamedTuple


class Attachment(NamedTuple):
    """One file to put into every bag."""

    name: str
    """e.g. robot_profile.yaml."""
    media_type: str
    """e.g. application/yaml."""
    data: bytes
    """Its bytes."""
