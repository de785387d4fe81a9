"""Two independent computations at a time, half of torch's threads each.

Small products do not share well between cores: each is cut in two and waited for, and who waits spins. Two chains of
products that know nothing of each other lose nothing.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

First = TypeVar('First')
Second = TypeVar('Second')


def both(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """What both answer; they run at the same time, without gradients, if torch has more than one thread."""
    threads = torch.get_num_threads()
    if threads < 2:
        return first(), second()
    lanes = _lanes(threads)
    other = lanes.submit(_without_gradient, second)
    return lanes.submit(_without_gradient, first).result(), other.result()


@functools.cache
def _lanes(threads: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(2, 'lane', _take_threads, (threads // 2,))
    both_there = threading.Barrier(
        2
    )  # else the pool may start the second thread in the middle of an update
    for future in [pool.submit(both_there.wait) for _ in range(2)]:
        future.result()
    torch.set_num_threads(threads)  # what threads to come begin with
    return pool


def _take_threads(count: int) -> None:
    torch.set_num_threads(count)
    torch.get_num_threads()  # torch reads the number once in each thread: now, and not when it is another's


def _without_gradient(compute: Callable[[], First]) -> First:
    with torch.no_grad():  # it holds in one thread
        return compute()
