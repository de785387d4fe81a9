"""Which fault comes when: from a seed alone, so that a bad night can be had again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What may go wrong."""

    RECORDER = 'kill a recorder'
    UPLOADER = 'kill an uploader'
    INGEST = 'kill ingest'
    LEARNER = 'kill the learner'
    STORE = 'kill the store'
    CUT_OFF = 'cut a robot off'
    CORRUPT = 'a corrupt checkpoint'
    UNSIGNED = 'an unsigned checkpoint'
    NAN = 'a NaN checkpoint'


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault of a schedule."""

    at_s: float
    """Since the start, s."""
    fault: Fault
    robot: str
    """The robot that it meets, where it meets one."""


def schedule(
    seed: int, duration_s: float, every_s: float, robots: list[str]
) -> list[PlannedFault]:
    """Return the faults of a run: every kind once, shuffled, then every kind again.

    The first comes after one interval, the last two intervals before the end.
    """
    rng = random.Random(seed)
    planned: list[PlannedFault] = []
    kinds: list[Fault] = []
    at_s = every_s
    while at_s < duration_s - 2 * every_s:
        if not kinds:
            kinds = list(Fault)
            rng.shuffle(kinds)
        planned.append(PlannedFault(round(at_s, 1), kinds.pop(), rng.choice(robots)))
        at_s += every_s * rng.uniform(0.8, 1.2)
    return planned
