"""A folder and a real S3 server behave the same, and neither ever shows half an object."""

from __future__ import annotations

import hashlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig
from lwd_recorder.store import IntegrityError, Store, StoreError, open_store


@pytest.fixture(params=['folder', 's3'])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == 'folder':
        return open_store(str(tmp_path / 'store'))
    bucket = request.getfixturevalue('s3_bucket')
    return open_store(f'{bucket}/{tmp_path.name}')


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    path = tmp_path / 'payload.bin'
    path.write_bytes(os.urandom(300_000))
    return path


def test_what_is_put_comes_back(store: Store, payload: Path, tmp_path: Path) -> None:
    data = payload.read_bytes()
    store.put_file(payload, 'robots/g1_01/a.mcap', sha256(data))
    assert store.read_bytes('robots/g1_01/a.mcap') == data
    store.get_file('robots/g1_01/a.mcap', tmp_path / 'back.bin')
    assert (tmp_path / 'back.bin').read_bytes() == data
    assert store.exists('robots/g1_01/a.mcap')
    assert not store.exists('robots/g1_01/b.mcap')


def test_matches_only_the_same_bytes(store: Store, payload: Path) -> None:
    data = payload.read_bytes()
    store.put_file(payload, 'a/x', sha256(data))
    assert store.matches('a/x', len(data), sha256(data))
    assert not store.matches('a/x', len(data) - 1, sha256(data))
    assert not store.matches('a/x', len(data), sha256(b'other'))
    assert not store.matches('a/none', len(data), sha256(data))


def test_wrong_hash_is_refused_and_leaves_nothing(store: Store, payload: Path) -> None:
    with pytest.raises(IntegrityError, match=r'payload\.bin'):
        store.put_file(payload, 'a/x', sha256(b'what it should have been'))
    assert not store.exists('a/x')
    assert list(store.list()) == []


def test_list_is_by_prefix_and_sorted(store: Store) -> None:
    for key in ('q/b/2', 'q/b/1', 'q/a/1', 'r/1'):
        store.put_bytes(b'1234', key)
    assert [one.key for one in store.list('q/')] == ['q/a/1', 'q/b/1', 'q/b/2']
    assert [one.key for one in store.list('q/b')] == ['q/b/1', 'q/b/2']
    found = list(store.list('r/'))
    assert found[0].size_bytes == 4
    assert found[0].mtime_s > 1.6e9
    assert list(store.list('nothing/')) == []


def test_list_behind_a_key(store: Store) -> None:
    for key in ('q/a/1', 'q/b/1', 'q/b/2', 'q/c/d/1'):
        store.put_bytes(b'1234', key)
    assert {one.key for one in store.list('q/', 'q/b/1')} == {'q/b/2', 'q/c/d/1'}
    assert {one.key for one in store.list('q/', 'q/a/9')} == {
        'q/b/1',
        'q/b/2',
        'q/c/d/1',
    }
    assert list(store.list('q/b/', 'q/b/2')) == []


def test_folders_are_those_right_below(store: Store) -> None:
    assert list(store.folders('f/')) == []
    for key in ('f/a/1', 'f/b/x/2', 'f/b/y/1', 'f/1'):
        store.put_bytes(b'1234', key)
    assert list(store.folders('f/')) == ['a', 'b']
    assert list(store.folders('f/b/')) == ['x', 'y']


def test_move_takes_the_object_away(store: Store) -> None:
    store.put_bytes(b'damaged', 'robots/x/1')
    store.move('robots/x/1', 'quarantine/1/x')
    assert not store.exists('robots/x/1')
    assert store.read_bytes('quarantine/1/x') == b'damaged'
    with pytest.raises(StoreError, match='robots/x/1'):
        store.move('robots/x/1', 'quarantine/2/x')


def test_s3_moves_what_is_too_large_for_one_copy(
    s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 copies no more than 5 GiB in one request; here it is told that this is 6 MiB."""
    from lwd_recorder.store import s3

    monkeypatch.setattr(s3, '_COPY', TransferConfig(6 << 20, multipart_chunksize=5 << 20))
    store = open_store(f'{s3_bucket}/moved')
    copied: list[str] = []
    store._client.meta.events.register(
        'before-send.s3.UploadPartCopy', lambda **_: copied.append('part')
    )
    data = os.urandom(11 << 20)
    store.put_bytes(data, 'robots/x/large')
    store.move('robots/x/large', 'quarantine/x/large')
    assert not store.exists('robots/x/large')
    assert store.read_bytes('quarantine/x/large') == data
    assert copied == ['part'] * 3


def test_missing_objects_are_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match='no/such'):
        store.read_bytes('no/such')
    with pytest.raises(StoreError, match='no/such'):
        store.get_file('no/such', tmp_path / 'target')
    assert not list(tmp_path.glob('*target*'))


@pytest.mark.parametrize(
    'key', ['', '/etc/passwd', '../up', 'a//b', 'a/../../b', '.hidden', 'a b']
)
def test_keys_that_leave_the_store_are_refused(store: Store, key: str, payload: Path) -> None:
    with pytest.raises(StoreError, match='not allowed'):
        store.put_file(payload, key, sha256(payload.read_bytes()))


def test_unfinished_puts_are_not_listed(tmp_path: Path) -> None:
    """A reader of a folder that is written right now sees whole objects only."""
    store = open_store(tmp_path)
    store.put_bytes(b'1', 'a/done')
    (tmp_path / 'a' / '.next.123.abcd.part').write_bytes(b'ha')
    assert [one.key for one in store.list('')] == ['a/done']


@pytest.mark.parametrize('uri', ['ftp://x/y', 's3://', '', 'file://elsewhere/x'])
def test_addresses_that_are_no_store_are_named(uri: str) -> None:
    with pytest.raises(StoreError):
        open_store(uri)


def test_s3_that_does_not_answer_is_a_store_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('AWS_ENDPOINT_URL', 'http://127.0.0.1:1')
    monkeypatch.setenv('AWS_ACCESS_KEY_ID', 'x')
    monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', 'x')
    monkeypatch.setenv('AWS_DEFAULT_REGION', 'us-east-1')
    with pytest.raises(StoreError, match='s3://nowhere'):
        open_store('s3://nowhere/p').exists('a')


class _Portal(BaseHTTPRequestHandler):
    """What a hotel's network answers to every request."""

    def do_GET(self) -> None:
        page = b'<!DOCTYPE html><p>Log in & go on'
        self.send_response(200)
        self.send_header('Content-Length', str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        return


def test_an_answer_that_is_no_s3_is_a_store_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(('127.0.0.1', 0), _Portal) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv('AWS_ENDPOINT_URL', f'http://127.0.0.1:{server.server_port}')
        monkeypatch.setenv('AWS_ACCESS_KEY_ID', 'x')
        monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', 'x')
        monkeypatch.setenv('AWS_DEFAULT_REGION', 'us-east-1')
        try:
            with pytest.raises(StoreError, match='s3://bucket'):
                list(open_store('s3://bucket/p').list('a'))
        finally:
            server.shutdown()
