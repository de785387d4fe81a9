"""Kills its own process with SIGKILL at the n-th event (call or return, Python or C) inside a function.

Between any two lines of Python there is such an event, so the points of a step are all the moments at which a process
can die in it, but for those inside a system call: those are met by the kills at random times.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Collection
from types import FrameType
from typing import Any, NamedTuple


class KillPoint(NamedTuple):
    """Where to die."""

    step: str
    """Qualified name of a function, e.g. BagWriter._split."""
    event: int
    """Number of the event in it, from 1, over all of its calls."""


def arm(point: KillPoint) -> None:
    """Let this process die at a point."""
    count = 0

    def die(step: str) -> None:
        nonlocal count
        count += 1
        if count >= point.event:
            os.kill(os.getpid(), signal.SIGKILL)

    _watch({point.step}, die)


def count(steps: Collection[str]) -> Counter[str]:
    """Count the events of each step from here on."""
    counts: Counter[str] = Counter()

    def add(step: str) -> None:
        counts[step] += 1

    _watch(set(steps), add)
    return counts


def _watch(steps: set[str], on_event: Any) -> None:
    inside = threading.local()

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        active: list[str] = inside.__dict__.setdefault('active', [])
        name = frame.f_code.co_qualname
        if event == 'call' and name in steps:
            active.append(name)
        for step in active:
            on_event(step)
        if event == 'return' and active and active[-1] == name:
            active.pop()

    threading.setprofile(profile)
    sys.setprofile(profile)
