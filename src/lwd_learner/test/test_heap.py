"""Freed memory stays with a process that asks for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource, threading, torch
from lwd_learner.heap import keep_freed
if {kept}:
    keep_freed()

def work():
    for _ in range(100):
        torch.ones(1 << 21)  # 8 MiB: 2048 pages

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
faults()
print(faults())
"""


def _faults(kept: bool) -> int:
    script = FAULTS.format(kept=kept)
    done = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='glibc only')
def test_memory_that_is_freed_and_wanted_again_is_not_faulted_in_again() -> None:
    """A hundred times 8 MiB in a thread: at most one time's pages are asked of the system."""
    assert _faults(kept=True) < 2_100
    assert _faults(kept=False) > 5_000, (
        'the system keeps freed memory by itself: keep_freed is not needed'
    )
