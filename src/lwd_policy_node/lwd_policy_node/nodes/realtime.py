"""Scheduling for a process whose tick must not wait for anybody's inference."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path


def claim_realtime(priority: int) -> str:
    """Put every thread of this process under SCHED_FIFO; threads made later inherit it.

    Call it when the node and its middleware threads exist, from the thread that makes others.

    Args:
        priority: 1 to 99.

    Returns:
        Empty, or why the system does not permit it and what to do.
    """
    return _claim([int(task.name) for task in Path('/proc/self/task').iterdir()], priority)


def claim_realtime_for_this_thread(priority: int) -> str:
    """Put the calling thread under SCHED_FIFO: `claim_realtime` for one thread."""
    return _claim([threading.get_native_id()], priority)


def claim_realtime_for_middleware(priority: int) -> str:
    """Put the threads of Fast DDS under SCHED_FIFO, none of ours: `claim_realtime` for them."""
    threads = []
    for task in Path('/proc/self/task').iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            if (task / 'comm').read_text().startswith('dds.'):
                threads.append(int(task.name))
    return _claim(threads, priority)


def _claim(threads: list[int], priority: int) -> str:
    try:
        for thread in threads:
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        return (
            f'no real-time scheduling ({error.strerror}): it may be late on a busy machine; '
            f'allow it with `ulimit -r {priority}` or "@robot - rtprio {priority}" in '
            '/etc/security/limits.conf, or set realtime_priority to 0'
        )
    return ''
