"""Scheduling for a process whose tick must not wait for anybody's inference."""

from __future__ import annotations

import os
from pathlib import Path


def claim_realtime(priority: int) -> str:
    """Put every thread of this process under SCHED_FIFO; threads made later inherit it.

    Call it when the node and its middleware threads exist, from the thread that makes others.

    Args:
        priority: 1 to 99.

    Returns:
        Empty, or why the system does not permit it and what to do.
    """
    try:
        for task in Path('/proc/self/task').iterdir():
            os.sched_setscheduler(int(task.name), os.SCHED_FIFO, os.sched_param(priority))
    except ProcessLookupError:
        pass  # a thread has ended meanwhile
    except OSError as error:
        return (
            f'no real-time scheduling ({error.strerror}): commands may come late on a busy machine; '
            f'allow it with `ulimit -r {priority}` or "@robot - rtprio {priority}" in '
            '/etc/security/limits.conf, or set realtime_priority to 0'
        )
    return ''
