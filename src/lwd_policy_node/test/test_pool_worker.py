"""A pool's workers do not outlive a parent that was killed, idle or at work, and leave Ctrl-C to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

POOL = """
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
from lwd_policy_node.pool_worker import begin_worker

def work(seconds):
    time.sleep(seconds)
    return os.getpid()

if __name__ == '__main__':
    pool = ProcessPoolExecutor(2, multiprocessing.get_context('spawn'), begin_worker)
    print(*{f.result() for f in [pool.submit(work, 0.5) for _ in range(2)]}, flush=True)
    pool.submit(work, 600)  # one of the two is at work
    time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != 'Z'


def test_workers_end_when_their_parent_is_killed_and_not_by_ctrl_c(tmp_path):
    script = tmp_path / 'pool.py'
    script.write_text(POOL)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        workers = [int(word) for word in parent.stdout.readline().split()]
        assert workers
        for pid in workers:
            os.kill(pid, signal.SIGINT)
        time.sleep(0.3)
        assert all(map(alive, workers))
    finally:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 20.0
    while any(map(alive, workers)):
        assert time.monotonic() < deadline, 'workers outlive their parent'
        time.sleep(0.05)
