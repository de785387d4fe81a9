"""Two uploaders on one spool, two recorders on one spool, an episode id that comes twice."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from fault_rig.account import delivered, drain, settle
from fault_rig.faulty_proxy import proxied
from fault_rig.ledger import Ledger
from fault_rig.victim import RecordPlan, UploadPlan, finish, start
from lwd_recorder.manifest import EpisodeManifest
from lwd_recorder.spool import Spool, State
from lwd_recorder.store import FolderStore, open_store

pytestmark = [pytest.mark.faults]

EPISODES = [f'e{number:02}' for number in range(12)]
FRAMES = 30
WHOLE = FRAMES + 2


def plan(home: Path, episodes: list[str], **more: object) -> RecordPlan:
    return RecordPlan(
        str(home / 'spool'), str(home / 'ledger'), EPISODES, episodes,
        **{'frames': FRAMES, 'pace_s': 0.0002, 'config': {'max_file_s': 0.0}} | more,
    )  # fmt: skip


def wait_until_delivered(root: Path) -> None:
    spool = Spool(root)
    deadline_s = time.monotonic() + 60
    while spool.entries(State.CLOSED, State.UPLOADING, State.COMMITTED):
        assert time.monotonic() < deadline_s, spool.entries()
        time.sleep(0.05)
    spool.close()


def test_two_uploaders_on_one_spool(
    s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes of three workers each: no file goes out twice."""
    assert finish(start(plan(tmp_path, EPISODES))) == 0
    with proxied(os.environ['AWS_ENDPOINT_URL']) as proxy:
        monkeypatch.setenv('AWS_ENDPOINT_URL', proxy.url)
        uri = f'{s3_bucket}/two'
        uploaders = [start(UploadPlan(str(tmp_path / 'spool'), uri, workers=3)) for _ in range(2)]
        wait_until_delivered(tmp_path / 'spool')
        for uploader in uploaders:
            uploader.kill()
            finish(uploader)
        assert set(proxy.puts.values()) == {1}
        assert len(proxy.puts) == 3 * len(EPISODES)
        ledger = Ledger(tmp_path / 'ledger', EPISODES)
        found = settle(tmp_path / 'spool', open_store(uri), ledger, whole=WHOLE)
    assert list(found) == EPISODES


def test_one_of_two_uploaders_is_killed_again_and_again(s3_bucket: str, tmp_path: Path) -> None:
    assert finish(start(plan(tmp_path, EPISODES))) == 0
    uri = f'{s3_bucket}/killed'
    dice = random.Random(5)
    deliver = UploadPlan(str(tmp_path / 'spool'), uri, workers=2)
    steady = start(deliver)
    for _ in range(6):
        other = start(deliver)
        time.sleep(dice.uniform(0.05, 0.25))
        other.kill()
        finish(other)
    wait_until_delivered(tmp_path / 'spool')
    steady.kill()
    finish(steady)
    ledger = Ledger(tmp_path / 'ledger', EPISODES)
    assert list(settle(tmp_path / 'spool', open_store(uri), ledger, whole=WHOLE)) == EPISODES


def test_second_recorder_on_a_spool_is_refused(tmp_path: Path) -> None:
    """It would take the first one's episode for one that was left open, and repair it under its hands."""
    first = start(plan(tmp_path, ['e00'], frames=400, pace_s=0.002))
    ledger = Ledger(tmp_path / 'ledger', EPISODES)
    deadline_s = time.monotonic() + 30
    while ledger.flushed('e00') < 50:
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    assert finish(start(plan(tmp_path, ['e01']))) != 0
    assert finish(first) == 0
    assert 'another recorder' in (tmp_path / 'spool.log').read_text()
    drain(tmp_path / 'spool', FolderStore(tmp_path / 'store'))
    found = settle(tmp_path / 'spool', FolderStore(tmp_path / 'store'), ledger, whole=402)
    assert list(found) == ['e00']


def test_episode_id_that_comes_again_is_not_recorded_again(tmp_path: Path) -> None:
    """After its delivery, too: the first one stays what it is."""
    store = FolderStore(tmp_path / 'store')
    assert finish(start(plan(tmp_path, ['e00']))) == 0
    first = EpisodeManifest.load(tmp_path / 'spool' / 'episodes' / 'e00')
    assert finish(start(plan(tmp_path, ['e00']))) == 0
    drain(tmp_path / 'spool', store)
    assert finish(start(plan(tmp_path, ['e00', 'e01']))) == 0
    drain(tmp_path / 'spool', store)
    found = delivered(store)
    assert list(found) == ['e00', 'e01']
    assert found['e00'].files == first.files
    assert 'in the spool already' in (tmp_path / 'spool.log').read_text()


def test_episode_id_of_another_spool_never_replaces_the_first(tmp_path: Path) -> None:
    """A robot whose disk was changed, and which knows nothing of before: the second one is kept aside, with why."""
    store = FolderStore(tmp_path / 'store')
    for name, frames in (('one', 30), ('two', 40)):
        (tmp_path / name).mkdir()
        assert finish(start(plan(tmp_path / name, ['e00'], frames=frames))) == 0
        drain(tmp_path / name / 'spool', store)
    [manifest] = delivered(store).values()
    assert sum(topic.count for topic in manifest.topics.values()) == 30 + 2
    spool = Spool(tmp_path / 'two' / 'spool')
    [entry] = spool.entries()
    assert entry.state is State.QUARANTINED
    assert 'another one has its id' in entry.reason
    assert (spool.quarantine_folder('e00') / 'e00_0.mcap').exists()
    spool.close()
