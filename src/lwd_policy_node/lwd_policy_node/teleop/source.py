"""The protocol of a teleoperation source, and how one is found by name.

A package offers a source under the entry-point group `lwd.teleop_source`; `teleop_node` loads the
one that its parameter names. A source gets the node to subscribe to what it needs.
"""

from __future__ import annotations

from importlib import metadata
from typing import Protocol

import numpy as np
import numpy.typing as npt

GROUP = 'lwd.teleop_source'


class SourceError(RuntimeError):
    """A source is unknown or cannot be loaded; the message names those that are known."""


class TeleopSource(Protocol):
    """One way for a human, or a scripted operator, to command the robot."""

    def __init__(self, node: object) -> None:
        """Subscribe to what the source needs; `node` is the rclpy node that polls it."""

    def poll(self, now_s: float) -> tuple[npt.NDArray[np.float64], str] | None:
        """What is commanded at `now_s` (robot clock).

        Returns:
            None while the deadman is released, else joint targets in the profile's action order,
            shape (A,), and the reason (operator, stall, drop, safety).
        """


def known_sources() -> tuple[str, ...]:
    """Names of the installed sources."""
    return tuple(sorted({entry.name for entry in metadata.entry_points(group=GROUP)}))


def load_source(name: str) -> type[TeleopSource]:
    """The class behind `name`.

    Raises:
        SourceError: no package offers it, or its package cannot be imported.
    """
    found = [entry for entry in metadata.entry_points(group=GROUP) if entry.name == name]
    if not found:
        known = ', '.join(known_sources()) or 'none installed'
        raise SourceError(f'no teleop source {name!r}; known: {known}')
    try:
        source: type[TeleopSource] = found[0].load()
    except (ImportError, AttributeError) as error:
        raise SourceError(f'teleop source {name!r} ({found[0].value}): {error}') from error
    return source
