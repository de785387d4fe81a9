"""The wall clock is stepped by an hour, forwards and back, while a robot records by it and uploads."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from fault_rig.account import settle
from fault_rig.ledger import Ledger
from fault_rig.victim import RecordPlan, UploadPlan, command
from fault_rig.wall_clock import WallClock
from lwd_recorder.spool import Spool, State
from lwd_recorder.store import open_store

pytestmark = [pytest.mark.faults]

EPISODES = ['before', 'during', 'after']
FRAMES = 200
WHOLE = FRAMES + 2


@pytest.mark.parametrize('wall_clock', [True, False])
@pytest.mark.parametrize('step_s', [3600, -3600])
def test_wall_clock_is_stepped(
    step_s: int, wall_clock: bool, s3_bucket: str, tmp_path: Path
) -> None:
    """In mid-episode, with the robot's clock on the wall clock or apart from it; the uploader's clock goes along."""
    clock = WallClock(tmp_path)
    uri = f'{s3_bucket}/clock{step_s}{wall_clock}'
    record = RecordPlan(
        str(tmp_path / 'spool'), str(tmp_path / 'ledger'), EPISODES, EPISODES, frames=FRAMES,
        pace_s=0.004, wall_clock=wall_clock, config={'postroll_wall_limit_s': 0.2},
    )  # fmt: skip
    upload = UploadPlan(str(tmp_path / 'spool'), uri, workers=2)
    ledger = Ledger(tmp_path / 'ledger', EPISODES)
    with (tmp_path / 'record.log').open('wb') as log:
        recorder = subprocess.Popen(command(record), env=clock.environment, stdout=log, stderr=log)
        uploader = subprocess.Popen(command(upload), env=clock.environment, stdout=log, stderr=log)
        try:
            deadline_s = time.monotonic() + 90
            while ledger.flushed('during') < FRAMES // 3:
                assert time.monotonic() < deadline_s, (tmp_path / 'record.log').read_text()
                time.sleep(0.01)
            clock.step(step_s)
            assert recorder.wait(60) == 0, (tmp_path / 'record.log').read_text()
            spool = Spool(tmp_path / 'spool')
            while spool.entries(State.CLOSED, State.UPLOADING, State.COMMITTED):
                assert time.monotonic() < deadline_s, spool.entries()
                time.sleep(0.05)
            spool.close()
        finally:
            for process in (recorder, uploader):
                process.kill()
                process.wait()
    found = settle(
        tmp_path / 'spool',
        open_store(uri),
        ledger,
        whole=WHOLE,
        cut_short=('during',) if wall_clock else (),
    )
    assert set(found) == set(EPISODES)
    assert found['before'].outcome == found['after'].outcome == 'success'
    if wall_clock:
        moved = 'leapt' if step_s > 0 else 'jumped'
        assert found['during'].notes[0].startswith(f'the robot clock {moved} from ')
    else:
        assert found['during'].outcome == 'success'
