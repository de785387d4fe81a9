"""Why an episode is not taken."""

from __future__ import annotations


class DamagedEpisodeError(Exception):
    """An episode's files or messages are not what they should be: it goes to quarantine with this reason."""


class DamagedMessageError(DamagedEpisodeError):
    """The bytes of one message do not add up; who reads it knows of which topic."""
