"""The robot's weights folder: what survives a kill, what is tried at start, what is forgotten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from lwd_policy_node.weights import Manifest, Refusal, WeightsRefused, WeightsStore
from lwd_policy_node.weights.pull import Superseded, Unanswered, pull_by_service


def _manifest(version: int) -> Manifest:
    return Manifest(
        published_ns=0,
        version=version,
        parent=version - 1,
        stage='sft',
        step=0,
        config_hash='c',
        replay_version='',
        size_bytes=7,
        sha256=f'{version:064x}',
    )


def _admit(store: WeightsStore, version: int) -> Path:
    part = store.part_path(_manifest(version))
    part.write_bytes(b'tensors')
    return store.admit(_manifest(version), part)


def test_start_up_tries_the_active_version_then_older_ones(tmp_path: Path) -> None:
    """A version that was pulled but never active does not move the robot after a restart."""
    store = WeightsStore(tmp_path)
    for version in (1, 2, 3):
        _admit(store, version)
    store.set_active(2)
    again = WeightsStore(tmp_path)
    assert [manifest.version for manifest in again.last_good()] == [2, 1]
    assert again.holds(_manifest(3))


def test_old_versions_are_forgotten_and_the_active_never(tmp_path: Path) -> None:
    """The disk does not fill, and going back is always possible."""
    store = WeightsStore(tmp_path, keep=2)
    for version in range(1, 6):
        _admit(store, version)
        store.set_active(version)
    assert store.versions() == [4, 5]
    store.set_active(4)
    assert store.versions() == [4, 5]


def test_a_kill_leaves_whole_versions_only(tmp_path: Path) -> None:
    """Half-written folders and damaged manifests are passed over."""
    store = WeightsStore(tmp_path)
    _admit(store, 1)
    _admit(store, 2)
    store.set_active(2)
    (tmp_path / 'v000002' / 'manifest.json').write_text('{"version": 2')
    (tmp_path / 'staging-3').mkdir()
    (tmp_path / 'v000004').mkdir()
    again = WeightsStore(tmp_path)
    assert [manifest.version for manifest in again.last_good()] == [1]
    assert not (tmp_path / 'staging-3').exists()
    assert not again.holds(_manifest(2)) and not again.holds(_manifest(4))


def test_a_version_gone_back_from_is_remembered(tmp_path: Path) -> None:
    """A failed version is not taken again after a restart."""
    store = WeightsStore(tmp_path)
    _admit(store, 1)
    _admit(store, 2)
    store.mark_failed(2)
    again = WeightsStore(tmp_path)
    assert again.failed() == {2} and again.versions() == [1]


def test_a_trial_that_nobody_ended_was_a_death(tmp_path: Path) -> None:
    """Counted over restarts; what runs clears what is older, but for versions that are deadly."""
    for count in (1, 2, 3):
        WeightsStore(tmp_path).begin_trial(2)
        assert WeightsStore(tmp_path).deaths() == {2: count}
    WeightsStore(tmp_path).begin_trial(1)
    store = WeightsStore(tmp_path)
    for version in (3, 4, 4):  # 3 had loaded when 4 began: a death now is that of 4
        store.begin_trial(version)
    assert store.deaths() == {1: 1, 2: 3, 4: 1}
    store.survived(3)
    assert store.deaths() == {2: 3, 4: 1}
    store.leave()
    assert WeightsStore(tmp_path).deaths() == {2: 3}
    store.survived(2)
    assert store.deaths() == {}
    (tmp_path / 'deaths').write_text('2\nx y\n7 1\n')
    assert store.deaths() == {7: 1}


class _Server:
    """Answers pieces of `data`; goes silent for good after `silent_after` of them."""

    def __init__(self, data: bytes, silent_after: int = 1000) -> None:
        self.data = data
        self.asked: list[int] = []
        self.left = silent_after

    def ask(self, offset: int, length: int) -> _Server.Piece:
        self.asked.append(offset)
        self.left -= 1
        return self.Piece(self.data[offset : offset + length], self.left >= 0)

    class Piece:
        def __init__(self, data: bytes, answered: bool) -> None:
            self._data, self._answered = data, answered

        def wait(self) -> memoryview:
            if not self._answered:
                raise Unanswered
            return memoryview(self._data)


def test_a_cut_pull_goes_on_where_it_was(tmp_path: Path) -> None:
    """After a cut nothing that is on disk is asked for again, and the bytes are the same."""
    data = bytes(range(256)) * 10
    part = tmp_path / 'part'
    cut = _Server(data, silent_after=2)
    with pytest.raises(Unanswered):
        _pull(cut, data, part)
    assert part.stat().st_size == 2000
    whole = _Server(data)
    _pull(whole, data, part)
    assert part.read_bytes() == data
    assert whole.asked == [2000]


def test_an_overlong_or_empty_answer_is_refused(tmp_path: Path) -> None:
    """A learner cannot fill the disk beyond the signed size, nor keep the robot asking for ever."""
    for served in (b'x' * 5000, b''):
        with pytest.raises(WeightsRefused) as refused:
            _pull(_Server(served), b'y' * 900, tmp_path / f'part{len(served)}', piece_bytes=4096)
        assert refused.value.kind is Refusal.WRONG_SIZE


def test_a_newer_version_ends_a_pull(tmp_path: Path) -> None:
    """Bytes of a version that nobody wants any more are not waited for."""

    def superseded() -> None:
        raise Superseded

    with pytest.raises(Superseded):
        pull_by_service(
            tmp_path / 'part',
            3,
            _Server(b'abc').ask,
            piece_bytes=1,
            checkpoint=superseded,
        )


def test_a_pin_outlives_a_restart(tmp_path: Path) -> None:
    """The oldest version that may be taken only goes up."""
    store = WeightsStore(tmp_path)
    store.raise_floor(5)
    store.raise_floor(3)
    assert WeightsStore(tmp_path).floor() == 5


def test_the_same_bytes_are_found_under_another_number(tmp_path: Path) -> None:
    """A fleet that is rolled back does not pull what it has."""
    store = WeightsStore(tmp_path)
    path = _admit(store, 1)
    again = replace(_manifest(9), sha256=_manifest(1).sha256)
    assert store.same_file(again) == path and store.same_file(_manifest(2)) is None


def _pull(server: _Server, data: bytes, part: Path, piece_bytes: int = 1000) -> None:
    pull_by_service(
        part,
        len(data),
        server.ask,
        piece_bytes=piece_bytes,
        checkpoint=lambda: None,
    )
