"""Memory that an update frees stays for the next one."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from lwd_learner.heap import keep_freed
from lwd_learner.state_learner.qam_update import StateBatch, StateQam, StateQamConfig
if {kept}:
    keep_freed()
torch.set_num_threads(1)
agent = StateQam(StateQamConfig(40, 25, hidden=256, members=2, precision='bfloat16'))
batch = StateBatch(
    torch.zeros(256, 40), torch.zeros(256, 25), torch.zeros(256), torch.ones(256), torch.zeros(256, 40), torch.ones(256)
)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        agent.update(batch)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

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
    """Ten updates; the heap may grow a few times yet, where small pieces lie in the way."""
    assert _faults(kept=True) < _faults(kept=False) / 2
