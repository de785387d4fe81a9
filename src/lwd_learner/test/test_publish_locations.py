"""Files besides the service: this file system and our own HTTP server, whole and as differences."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from lwd_learner.publish.archive import Archive, VersionCounter
from lwd_learner.publish.locations import Locations
from lwd_learner.publish.releases import Releases
from lwd_policy_node.weights import Manifest, ensure_key_pair, load_private_key
from lwd_policy_node.weights.delta import apply_delta
from lwd_policy_node.weights.uri import pull_by_uri
from safetensors.numpy import save_file


class Served:
    """Two versions, at file:// and http:// URIs."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        self.archive = Archive(home / 'published')
        self.locations = Locations(('file', f'http://127.0.0.1:{self.port}'), self.archive)
        self.locations.open()
        key = ensure_key_pair(home / 'keys').private_path
        releases = Releases(
            self.archive,
            VersionCounter(key.with_suffix('.version')),
            load_private_key(key),
            locate=self.locations.of,
        )
        body = np.random.default_rng(0).random(50_000, np.float32)
        for value in (1.0, 2.0):
            path = home / 'policy.safetensors'
            tensors = {'body': body, 'expert': np.full(100, value, np.float32)}
            save_file(tensors, path, {'lwd.config_hash': 'c'})
            releases.publish(path, stage='online', step=1)
        (self.newest,) = releases.offered()

    def get(self, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=10)
        connection.request('GET', path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.locations.close()


def _pull(manifest: Manifest, uri: str, total: int, part: Path) -> bytes:
    pull_by_uri(uri, part, total, lambda: None)
    return part.read_bytes()


def test_each_uri_gives_the_file_and_its_difference(served: Served, tmp_path: Path) -> None:
    """Both ways bring the signed bytes; the difference is a small part of them."""
    manifest = served.newest
    whole = served.archive.policy_path(2).read_bytes()
    assert [urlsplit(uri).scheme for uri in manifest.uris] == ['file', 'http']
    assert 0 < manifest.delta_bytes < 0.1 * manifest.size_bytes
    for number, uri in enumerate(manifest.uris):
        assert _pull(manifest, uri, manifest.size_bytes, tmp_path / f'whole{number}') == whole
        delta = tmp_path / f'delta{number}'
        _pull(manifest, f'{uri}.delta', manifest.delta_bytes, delta)
        made = tmp_path / f'made{number}'
        apply_delta(served.archive.policy_path(1), delta, made, manifest.size_bytes)
        assert made.read_bytes() == whole


def test_ranges_and_everything_else_that_is_asked_for(served: Served) -> None:
    """A range is what it says; nothing but published files is served."""
    whole = served.archive.policy_path(2).read_bytes()
    path = '/v000002/policy.safetensors'
    assert served.get(path, {'Range': 'bytes=100-199'}) == (206, whole[100:200])
    assert served.get(path, {'Range': f'bytes={len(whole) - 5}-'}) == (206, whole[-5:])
    assert served.get(path, {'Range': f'bytes={len(whole)}-'})[0] == 416
    assert served.get(path, {'Range': 'bytes=junk'}) == (200, whole)
    for other in ('/', '/v000003/policy.safetensors', '/v000002/manifest.json',
                  '/v000002/../../keys/learner.ed25519', '/v000001/policy.safetensors.delta'):  # fmt: skip
        assert served.get(other, {})[0] == 404


@pytest.mark.parametrize('place', ['ftp://x/y', 'http://host', '/folder', 's3://', ''])
def test_a_place_that_is_none_is_named(tmp_path: Path, place: str) -> None:
    """Before anything is published."""
    with pytest.raises(ValueError, match='no place for weights'):
        Locations((place,), Archive(tmp_path))
