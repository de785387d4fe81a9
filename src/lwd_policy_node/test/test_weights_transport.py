"""Ways that bytes take besides the service: the difference from the parent's file, and URIs with ranges."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from lwd_policy_node.weights import Refusal, WeightsRefused
from lwd_policy_node.weights.delta import apply_delta, write_delta
from lwd_policy_node.weights.pull import Superseded
from lwd_policy_node.weights.statistics import check_finite, measure
from lwd_policy_node.weights.tensors import read_header
from lwd_policy_node.weights.uri import NotThere, pull_by_uri
from safetensors.numpy import save_file

DATA = bytes(range(256)) * 400


def _save(path: Path, head: float, metadata: dict[str, str] | None = None) -> Path:
    body = np.random.default_rng(0).random((64, 64), np.float32)
    tensors = {'body': body, 'expert': np.full(32, head, np.float32), 'tail': body[:3]}
    save_file(tensors, path, metadata=metadata or {})
    return path


def test_a_difference_holds_what_changed_and_makes_the_same_file(tmp_path: Path) -> None:
    """Whatever changed, and however long the header became, the bytes come out as they were."""
    parent = _save(tmp_path / 'parent', 1.0)
    for metadata in ({}, {'text': 'longer' * 20}):
        child = _save(tmp_path / 'child', 2.0, metadata)
        size = write_delta(parent, child, tmp_path / 'delta')
        assert size == (tmp_path / 'delta').stat().st_size < 0.1 * child.stat().st_size
        apply_delta(parent, tmp_path / 'delta', tmp_path / 'made', child.stat().st_size)
        assert (tmp_path / 'made').read_bytes() == child.read_bytes()


@pytest.mark.parametrize(
    'spoil',
    [
        lambda delta: delta[:4],
        lambda delta: delta[:-1],
        lambda delta: b'\xff' * 8 + delta[8:],
        lambda delta: _head({'spans': [[-1, 10**12]]}),
        lambda delta: _head({'spans': [[5, 10**9]]}),
        lambda delta: _head({'spans': [[-7, 3]]}),
        lambda delta: _head({'spans': 'x'}),
        lambda delta: _head([]),
    ],
)
def test_a_damaged_difference_is_refused_and_leaves_nothing(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    """A difference is not signed: nothing in it may write beyond the signed size or read beyond the parent."""
    parent, child = _save(tmp_path / 'parent', 1.0), _save(tmp_path / 'child', 2.0)
    delta = tmp_path / 'delta'
    write_delta(parent, child, delta)
    delta.write_bytes(spoil(delta.read_bytes()))
    with pytest.raises(WeightsRefused) as refused:
        apply_delta(parent, delta, tmp_path / 'made', child.stat().st_size)
    assert refused.value.kind is Refusal.MALFORMED
    assert not (tmp_path / 'made').exists()


def _head(head: object) -> bytes:
    text = json.dumps(head).encode()
    return len(text).to_bytes(8, 'little') + text


def test_statistics_are_those_of_the_values(tmp_path: Path) -> None:
    """Large finite values are no infinities, and integers are left out."""
    path = tmp_path / 'weights'
    wide = np.linspace(-3e30, 2e30, 600_000, dtype=np.float32)
    save_file({'wide': wide, 'count': np.arange(3)}, path)
    (found,) = check_finite(path, read_header(path))
    assert found.name == 'wide' and found.max_abs == pytest.approx(3e30)
    assert found.rms == pytest.approx(np.sqrt(np.mean(wide.astype(np.float64) ** 2)), rel=1e-5)
    wide[-1] = np.nan
    save_file({'wide': wide}, path)
    assert np.isnan(measure(path, read_header(path))[0].max_abs)


class _Web:
    """Serves DATA; cuts each connection after `cut` bytes; says `status` instead while that is set."""

    def __init__(self) -> None:
        web = self
        self.cut = len(DATA)
        self.ranges = True
        self.status: list[int] = []
        self.asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append(self.headers.get('Range', ''))
                if web.status:
                    self.send_error(web.status.pop())
                    return
                begin = int((web.asked[-1] or 'bytes=0-')[6:-1]) if web.ranges else 0
                self.send_response(206 if begin else 200)
                self.send_header('Content-Length', str(len(DATA) - begin))
                self.end_headers()
                self.wfile.write(DATA[begin : begin + web.cut])

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.uri = f'http://127.0.0.1:{self._server.server_port}/x'
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def web() -> Iterator[_Web]:
    made = _Web()
    yield made
    made.close()


def test_a_cut_http_pull_is_resumed(web: _Web, tmp_path: Path) -> None:
    """Each connection brings a third; what has come is not asked for again."""
    web.cut = 40_000
    web.status = [503]
    pull_by_uri(web.uri, tmp_path / 'part', len(DATA), lambda: None)
    assert (tmp_path / 'part').read_bytes() == DATA
    assert web.asked == ['', '', 'bytes=40000-', 'bytes=80000-']


def test_a_server_without_ranges_starts_over(web: _Web, tmp_path: Path) -> None:
    """Bytes that are there already are not put behind themselves."""
    web.ranges = False
    (tmp_path / 'part').write_bytes(DATA[:1000])
    pull_by_uri(web.uri, tmp_path / 'part', len(DATA), lambda: None)
    assert (tmp_path / 'part').read_bytes() == DATA


def test_a_uri_that_does_not_serve_is_given_up(
    web: _Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next way is tried after a clear no, or after silence."""
    monkeypatch.setattr('lwd_policy_node.weights.uri.PAUSE_S', 0.0)
    part = tmp_path / 'part'
    web.status = [404]
    for uri in (web.uri, 'ftp://x/y', f'file://{tmp_path}/none', 'http://127.0.0.1:9/x'):
        with pytest.raises(NotThere):
            pull_by_uri(uri, part, len(DATA), lambda: None)


def test_a_file_uri_is_resumed_and_bounded(tmp_path: Path) -> None:
    """A path with a space; a longer file than signed is not copied beyond it."""
    source = tmp_path / 'with space.safetensors'
    source.write_bytes(DATA)
    part = tmp_path / 'part'
    part.write_bytes(DATA[:500])
    pull_by_uri(source.as_uri(), part, len(DATA), lambda: None)
    assert part.read_bytes() == DATA
    part.unlink()
    with pytest.raises(WeightsRefused, match='more than the signed'):
        pull_by_uri(source.as_uri(), part, 100, lambda: None)


def test_a_newer_version_ends_a_uri_pull(web: _Web, tmp_path: Path) -> None:
    """Nobody waits for bytes that nobody wants any more."""

    def superseded() -> None:
        raise Superseded

    with pytest.raises(Superseded):
        pull_by_uri(web.uri, tmp_path / 'part', len(DATA), superseded)
