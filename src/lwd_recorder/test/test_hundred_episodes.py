"""A hundred short episodes back to back over real DDS: as many whole bags and manifests, and no gap in any of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lwd_recorder.bag import read_bag
from lwd_recorder.manifest import EpisodeManifest
from lwd_recorder.recording.cdr import stamp_ns
from lwd_recorder.spool import Spool, State
from recorded_robot import CAMERAS, TICK_NS, RobotDriver

pytestmark = [pytest.mark.launch, pytest.mark.long]

EPISODES = 100
TICKS = 15
DOMAIN = 110
PERIODS_S = {f'/g1_01/camera/{camera}/image/compressed': 3 * TICK_NS / 1e9 for camera in CAMERAS} | {
    f'/g1_01/{name}': TICK_NS / 1e9 for name in ('joint_states', 'executed_action', 'sim/state')
}  # fmt: skip


def test_a_hundred_episodes_back_to_back(tmp_path: Path) -> None:
    driver = RobotDriver(DOMAIN)
    log = (tmp_path / 'recorder.log').open('wb')
    recorder = subprocess.Popen(
        [
            sys.executable, '-m', 'lwd_recorder.nodes.recorder_node', '--ros-args',
            '-r', '__ns:=/g1_01', '-r', '/clock:=/g1_01/clock', '-p', 'use_sim_time:=true',
        ],
        stdout=log,
        stderr=log,
        env=os.environ | {'ROS_DOMAIN_ID': str(DOMAIN), 'LWD_HOME': str(tmp_path)},
    )  # fmt: skip
    try:
        driver.wait_for_recorder()
        names = [f'g1_01-{number:03}' for number in range(EPISODES)]
        for name in names:
            driver.begin(name)
            driver.run(TICKS)
            driver.end()
        driver.wait_for(lambda: driver.closed[-1:] == names[-1:], 'recorder/closed')
    finally:
        recorder.terminate()
        assert recorder.wait(20) == 0
        log.close()
        published = driver.published
        driver.close()
    text = (tmp_path / 'recorder.log').read_text()
    assert 'ERROR' not in text, text

    spool = Spool(tmp_path / 'robots' / 'g1_01' / 'spool')
    entries = spool.entries()
    assert [entry.episode_id for entry in entries] == names
    assert {entry.state for entry in entries} == {State.CLOSED}
    for name in names:
        folder = spool.folder(name)
        manifest = EpisodeManifest.load(folder)
        assert (manifest.outcome, manifest.notes) == ('success', ()), name
        for topic, period_s in PERIODS_S.items():
            record = manifest.topics[topic]
            assert record.max_gap_s <= period_s + 1e-6, f'{name} {topic}: {record}'
            assert (record.missing, record.lost, record.dropped) == (0, 0, 0), f'{name} {topic}'
        stamps: dict[str, set[int]] = {}
        for topic, _, data, _ in read_bag(folder, list(PERIODS_S)):
            stamps.setdefault(topic, set()).add(stamp_ns(data))
        for topic in PERIODS_S:
            key = next(key for key in published[name] if f'/{key}' in topic)
            assert set(published[name][key]) <= stamps[topic], f'{name} {topic}'
    spool.close()
