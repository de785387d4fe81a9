"""Large files go in parts: an upload that was interrupted anywhere is gone on with, and keys never change."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from lwd_recorder.spool import Spool
from lwd_recorder.store import ExistsError, IntegrityError, StoreError, StoreOptions, open_store
from lwd_recorder.store.parts import FileParts, part_size
from lwd_recorder.store.rate import LimitedBody, RateLimit

PART = 5 << 20
OPTIONS = StoreOptions(part_bytes=PART)
KEY = 'robots/g1_01/big.mcap'


class Interrupted(Exception):
    """Stands for the death of the process."""


@pytest.fixture(params=['folder', 's3'])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == 'folder':
        return open_store(str(tmp_path / 'store'), OPTIONS)
    return open_store(f'{request.getfixturevalue("s3_bucket")}/{tmp_path.name}', OPTIONS)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / 'big.mcap'
    path.write_bytes(os.urandom(2 * PART + 123_457))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stop_after(count: int) -> Any:
    """Interrupt once so many bytes are in the store."""
    there = 0

    def on_bytes(more: int) -> None:
        nonlocal there
        there += more
        if there >= count:
            raise Interrupted

    return on_bytes


def test_large_file_comes_back(store: Any, big: Path) -> None:
    assert store.put_file(big, KEY, digest(big)) == big.stat().st_size
    assert store.read_bytes(KEY) == big.read_bytes()
    assert store.matches(KEY, big.stat().st_size, digest(big))
    assert store.matches(KEY, big.stat().st_size, digest(big), big)
    assert not store.matches(KEY, big.stat().st_size, '0' * 64)


@pytest.mark.parametrize('count', [1, 2])
def test_interrupted_upload_goes_on_in_a_new_process(
    store: Any, big: Path, tmp_path: Path, count: int
) -> None:
    """What is sent again is less than a part; until the end there is no object."""
    spool = Spool(tmp_path / 'spool')
    with pytest.raises(Interrupted):
        store.put_file(big, KEY, digest(big), spool.uploads, stop_after(count * PART))
    spool.close()
    assert not store.exists(KEY)
    assert list(store.list()) == []
    again, spool = open_store(store.uri, OPTIONS), Spool(tmp_path / 'spool')
    sent = again.put_file(big, KEY, digest(big), spool.uploads)
    assert big.stat().st_size - count * PART <= sent + PART
    assert sent <= big.stat().st_size - count * PART
    assert again.read_bytes(KEY) == big.read_bytes()
    assert spool.uploads.upload(f'{store.uri}/{KEY}') is None
    spool.close()


def test_file_that_changed_in_between_is_sent_anew(store: Any, big: Path, tmp_path: Path) -> None:
    """Parts are compared, not believed."""
    spool = Spool(tmp_path / 'spool')
    with pytest.raises(Interrupted):
        store.put_file(big, KEY, digest(big), spool.uploads, stop_after(PART))
    big.write_bytes(os.urandom(big.stat().st_size))
    store.put_file(big, KEY, digest(big), spool.uploads)
    assert store.read_bytes(KEY) == big.read_bytes()
    spool.close()


def test_keys_are_immutable(store: Any, big: Path, tmp_path: Path) -> None:
    store.put_file(big, KEY, digest(big))
    other, small = tmp_path / 'other', tmp_path / 'small'
    other.write_bytes(os.urandom(2 * PART))
    small.write_bytes(b'small')
    for path in (other, small):
        with pytest.raises(ExistsError, match=r'big\.mcap'):
            store.put_file(path, KEY, digest(path))
    assert store.read_bytes(KEY) == big.read_bytes()
    store.put_bytes(b'1', 'a/manifest.json', replace=False)
    with pytest.raises(ExistsError):
        store.put_bytes(b'2', 'a/manifest.json', replace=False)
    assert store.read_bytes('a/manifest.json') == b'1'


def test_wrong_hash_leaves_nothing(store: Any, big: Path, tmp_path: Path) -> None:
    spool = Spool(tmp_path / 'spool')
    with pytest.raises(IntegrityError, match=r'big\.mcap'):
        store.put_file(big, KEY, '0' * 64, spool.uploads)
    assert not store.exists(KEY)
    assert spool.uploads.upload(f'{store.uri}/{KEY}') is None
    spool.close()


def test_upload_that_the_server_forgot_begins_anew(
    s3_bucket: str, big: Path, tmp_path: Path
) -> None:
    store, spool = open_store(f'{s3_bucket}/{tmp_path.name}', OPTIONS), Spool(tmp_path / 'spool')
    spool.uploads.keep_upload(f'{store.uri}/{KEY}', 'no-such-upload', PART)
    assert store.put_file(big, KEY, digest(big), spool.uploads) == big.stat().st_size
    spool.close()


def test_two_writers_of_one_folder_key_do_not_mix(tmp_path: Path, big: Path) -> None:
    store = open_store(str(tmp_path / 'store'))

    def second(count: int) -> None:
        with pytest.raises(StoreError, match='another uploader'):
            store.put_file(big, KEY, digest(big))

    store.put_file(big, KEY, digest(big), None, second)
    assert store.read_bytes(KEY) == big.read_bytes()


def test_capped_upload_arrives_whole(s3_bucket: str, big: Path, tmp_path: Path) -> None:
    options = StoreOptions(part_bytes=PART, max_bytes_per_s=80e6)
    store = open_store(f'{s3_bucket}/{tmp_path.name}', options)
    store.put_file(big, KEY, digest(big))
    assert store.read_bytes(KEY) == big.read_bytes()


def test_limit_is_kept_over_time() -> None:
    """2 MB at 1 MB/s take 2 s less the burst, by a clock of the test's own."""
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    limit = RateLimit(1e6, lambda: now[0], sleep)
    for _ in range(200):
        limit.take(10_000)
    assert 1.7 <= now[0] - 100.0 <= 2.1
    now[0] += 1000.0
    limit.take(1_000_000)
    assert now[0] - 1102.0 > 0.7, 'a pause is not saved up'


def test_body_is_read_at_once_to_be_signed_and_slowly_to_be_sent() -> None:
    taken: list[int] = []
    body = LimitedBody(b'x' * 50_000)
    body.limit = RateLimit(0.0)
    body.limit.take = taken.append  # type: ignore[method-assign]
    assert len(body.read()) == 50_000
    assert taken == []
    body.seek(0)
    body.armed = True
    assert b''.join(iter(body.read, b'')) == b'x' * 50_000
    assert sum(taken) == 50_000


def test_parts_are_those_that_s3_takes(big: Path) -> None:
    parts = FileParts(big, PART)
    assert [len(part.data) for part in parts] == [PART, PART, 123_457]
    assert parts.sha256 == digest(big)
    assert parts.checksum.endswith('-3')
    assert part_size(100 << 30, PART) * 10_000 >= 100 << 30
    assert part_size(PART + 1, PART) == PART
