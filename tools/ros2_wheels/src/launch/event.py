"""Base class of events."""

from __future__ import annotations


class Event:
    """Something that happened; handlers are matched against it."""

    name = 'launch.Event'
