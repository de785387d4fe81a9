"""A store that answers with errors, late, wrongly or not at all, at every single request of a delivery."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_rig.account import settle
from fault_rig.faulty_proxy import FAULTS, FaultyProxy, proxied
from fault_rig.ledger import Ledger
from fault_rig.victim import PART_BYTES, RecordPlan, UploadPlan, finish, start
from lwd_recorder.delivery import Uploader, UploaderConfig
from lwd_recorder.spool import Spool, State
from lwd_recorder.store import StoreOptions, open_store

pytestmark = [pytest.mark.faults]

FRAMES = 60
WHOLE = FRAMES + 2
IMAGE_BYTES = 200_000
IMPATIENT = StoreOptions(part_bytes=PART_BYTES, connect_timeout_s=0.5, read_timeout_s=0.4)


def plan(home: Path, episodes: list[str], image_bytes: int = IMAGE_BYTES) -> RecordPlan:
    return RecordPlan(
        str(home / 'spool'), str(home / 'ledger'), ['a', 'b'], episodes, frames=FRAMES,
        image_bytes=image_bytes, config={'max_file_s': 0.0},
    )  # fmt: skip


@pytest.fixture(scope='module')
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spool with one closed episode that goes in two parts, and its ledger."""
    home = tmp_path_factory.mktemp('closed')
    assert finish(start(plan(home, ['a']))) == 0
    return home


@pytest.fixture
def proxy(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with proxied(os.environ['AWS_ENDPOINT_URL']) as proxy:
        monkeypatch.setenv('AWS_ENDPOINT_URL', proxy.url)
        yield proxy


def deliver_all(spool_root: Path, uri: str) -> str:
    """Upload until nothing waits; return what was said of failures."""
    said: list[str] = []
    uploader = Uploader(
        spool_root,
        open_store(uri, IMPATIENT),
        UploaderConfig(warn_free_bytes=0, min_free_bytes=0),
        lambda level, text: said.append(text) if level != 'info' else None,
    )
    spool = Spool(spool_root)
    deadline_s = time.monotonic() + 60
    while spool.entries(State.CLOSED, State.UPLOADING, State.COMMITTED):
        assert time.monotonic() < deadline_s, said
        uploader.run_once()
    spool.close()
    return '\n'.join(said)


@pytest.mark.parametrize('fault', FAULTS)
def test_every_request_of_a_delivery_is_spoiled(
    fault: str, closed: Path, proxy: FaultyProxy, s3_bucket: str, tmp_path: Path
) -> None:
    """One delivery a request: it is tried again, and the episode is there once, right to the byte."""
    number, requests = 1, 1
    while number <= requests:
        home = tmp_path / str(number)
        shutil.copytree(closed, home)
        before = proxy.requests
        # As often as the client tries by itself, and once more: the uploader has to come again, too.
        proxy.fault, proxy.spoil = fault, {before + number + extra for extra in range(3)}
        uri = f'{s3_bucket}/{fault.replace(" ", "-")}-{number}'
        deliver_all(home / 'spool', uri)
        requests = max(requests, 11) if number == 1 else requests
        proxy.fault = ''
        ledger = Ledger(home / 'ledger', ['a', 'b'])
        found = settle(
            home / 'spool', open_store(uri), ledger, whole=WHOLE, image_bytes=IMAGE_BYTES
        )
        assert list(found) == ['a']
        number += 1
        shutil.rmtree(home)


def test_server_that_is_down_for_a_whole_episode(
    proxy: FaultyProxy, s3_bucket: str, tmp_path: Path
) -> None:
    """Recording does not notice. Both episodes arrive once it is back, without a person."""
    proxy.down()
    uri = f'{s3_bucket}/down'
    uploader = start(UploadPlan(str(tmp_path / 'spool'), uri, workers=2))
    assert finish(start(plan(tmp_path, ['a', 'b']))) == 0
    spool = Spool(tmp_path / 'spool')
    deadline_s = time.monotonic() + 30
    while not any(entry.reason for entry in spool.entries()):
        assert time.monotonic() < deadline_s, 'no failure was noted'
        time.sleep(0.05)
    assert spool.backlog() == 2
    proxy.up()
    while spool.entries(State.CLOSED, State.UPLOADING, State.COMMITTED):
        assert time.monotonic() < deadline_s, spool.entries()
        time.sleep(0.05)
    spool.close()
    uploader.kill()
    finish(uploader)
    ledger = Ledger(tmp_path / 'ledger', ['a', 'b'])
    found = settle(
        tmp_path / 'spool', open_store(uri), ledger, whole=WHOLE, image_bytes=IMAGE_BYTES
    )
    assert set(found) == {'a', 'b'}


def test_killed_upload_sends_less_than_a_part_again(
    proxy: FaultyProxy, s3_bucket: str, tmp_path: Path
) -> None:
    """By the bytes that reached the server, for kills at random moments of a 30 MB file."""
    home = tmp_path / 'large'
    home.mkdir()
    assert finish(start(plan(home, ['a'], image_bytes=1_000_000))) == 0
    size = next((home / 'spool' / 'episodes' / 'a').glob('*.mcap')).stat().st_size
    dice = random.Random(3)
    for trial in range(5):
        again = tmp_path / str(trial)
        shutil.copytree(home, again)
        proxy.sent.clear()
        uri = f'{s3_bucket}/killed-{trial}'
        options = {'max_bytes_per_s': 40e6}
        process = start(UploadPlan(str(again / 'spool'), uri, options=options))
        time.sleep(dice.uniform(0.1, 0.6))
        process.kill()
        assert finish(process) in (0, -signal.SIGKILL)
        assert finish(start(UploadPlan(str(again / 'spool'), uri))) == 0
        [sent] = [count for path, count in proxy.sent.items() if path.endswith('.mcap')]
        assert size <= sent < size + PART_BYTES
        shutil.rmtree(again)
