"""One thing that lint found, with all that is needed to act on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal['error', 'warning']


@dataclass(frozen=True, slots=True)
class Finding:
    """Where something is wrong, what it is, and what to do about it."""

    level: Level
    """error: training on it teaches something false; warning: look before you train."""
    check: str
    """Name of the check, e.g. frozen_camera."""
    dataset: str
    """offline or online."""
    episode_id: str
    place: str
    """Rows and seconds within the episode, and the camera or joint where there is one."""
    value: str
    """What was measured."""
    remedy: str
    """What to do."""


def rows_place(first: int, last: int, seconds: tuple[float, float], what: str = '') -> str:
    """A `place`: rows first..last of an episode and their seconds from its first row."""
    rows = f'row {first}' if first == last else f'rows {first}-{last}'
    span = f'{seconds[0]:.2f} s' if first == last else f'{seconds[0]:.2f}-{seconds[1]:.2f} s'
    return f'{what}, {rows} ({span})' if what else f'{rows} ({span})'
