"""What every worker process of a pool does first: leave Ctrl-C to its parent, and end when the parent is gone.

A worker of `concurrent.futures` holds both ends of the pipe that it gets its jobs from, so that it never sees that
nobody is left at the other end: after a SIGKILL of the parent it would wait, and keep its memory, for ever.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait


def begin_worker() -> None:
    """Call it in the pool's `initializer`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
