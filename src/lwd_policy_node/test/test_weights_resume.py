"""What a robot keeps of a cut pull, and which announcements it need not look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from lwd_policy_node.weights import Manifest, WeightsStore


def _manifest(version: int, sha256: str) -> Manifest:
    return Manifest(
        published_ns=0,
        version=version,
        parent=0,
        stage='sft',
        step=0,
        config_hash='c',
        replay_version='',
        size_bytes=3,
        sha256=sha256,
    )


def test_parts_of_other_versions_go_and_this_ones_stay(tmp_path: Path) -> None:
    """The disk does not fill with halves of versions that nobody wants any more."""
    store = WeightsStore(tmp_path)
    wanted, other = _manifest(1, 'a' * 64), _manifest(2, 'b' * 64)
    for manifest in (wanted, other):
        store.part_path(manifest).write_bytes(b'x')
        store.delta_part_path(manifest).write_bytes(b'x')
    again = WeightsStore(tmp_path)
    again.clear_parts(but=wanted)
    assert again.part_path(wanted).exists() and again.delta_part_path(wanted).exists()
    assert not again.part_path(other).exists() and not again.delta_part_path(other).exists()
    again.clear_parts()
    assert not list(tmp_path.glob('*.part'))


@pytest.mark.parametrize(
    ('held', 'heard', 'needless'),
    [
        ({}, {}, True),
        ({}, {'robots': ('a',)}, True),
        ({}, {'sha256': 'b' * 64}, False),
        ({}, {'version': 4}, False),
        ({}, {'version': 2}, False),
        ({'robots': ('a',)}, {'version': 2}, True),
        ({'robots': ('a',)}, {'version': 4}, False),
    ],
)
def test_what_a_robot_need_not_look_at(
    held: dict[str, object], heard: dict[str, object], needless: bool
) -> None:
    """The same bytes announced again, and during a trial what all the others run; an old version is looked at."""
    base = _manifest(3, 'a' * 64)
    ours, other = replace(base, **held), replace(base, **heard)  # type: ignore[arg-type]
    assert ours.makes_needless(other) is needless
