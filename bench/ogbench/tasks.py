"""The three tasks, and what the public QAM code (arXiv 2601.14234) sets for each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """A fixed goal in one of OGBench's scenes."""

    family: str
    """Scene: the data of all its tasks are the same."""
    number: int
    """Task, 1 to 5."""
    sparse: bool
    """Reward -1 until success instead of -(parts of the goal not yet reached)."""
    inverse_temperature: float
    """1 / lambda of QAM."""
    v_min: float
    """Lower end of DIVL's support: a tenth below the lowest return at a discount of .99, for errors on both sides of
    it to count."""

    @property
    def environment(self) -> str:
        """Gymnasium's name of the environment."""
        return f'{self.family}-singletask-task{self.number}-v0'


TASKS = {
    'cube-double': Task('cube-double', 2, False, 1.0, -220.0),
    'scene': Task('scene', 2, True, 1.0, -110.0),
    'puzzle-3x3': Task('puzzle-3x3', 4, True, 3.0, -110.0),
}
"""By family."""

PUBLISHED_EVERY = 50_000
"""Updates between two of the published values."""

PUBLISHED = {
    'cube-double': (0, 1, 2, 6, 16, 24, 39, 49, 55, 61, 65, 68, 71, 72, 74, 73, 72, 79, 77, 79),
    'scene': (80, 96, 98, 99, 100, 100, 100, 99, 99, 98, 100, 98, 99, 99, 98, 99, 99, 99, 99, 98),
    'puzzle-3x3': (0, 12, 86, 92, *[100] * 7, 99, *[100] * 6, 99, 100),
}
"""Success of QAM on these tasks in percent, mean of 12 seeds, after 50k, 100k, ... 1M offline updates: the authors'
released experiment data."""
