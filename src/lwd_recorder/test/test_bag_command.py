"""`bag ls|show|verify` tells what is on a disk, to people and to scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from lwd_recorder.bag_command import main
from lwd_recorder.manifest import EpisodeManifest

Maker = Callable[..., EpisodeManifest]


def test_verify_finds_the_damaged_one(
    tmp_path: Path, make_episode: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    make_episode(tmp_path / 'good')
    make_episode(tmp_path / 'bad')
    path = tmp_path / 'bad' / 'bad_0.mcap'
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    assert main(['verify', str(tmp_path), '--json']) == 1
    results = {Path(one['path']).name: one for one in json.loads(capsys.readouterr().out)}
    assert results['good']['ok']
    assert 'bad_0.mcap' in results['bad']['damage']
    assert main(['verify', str(tmp_path / 'good')]) == 0
    assert main(['verify', str(tmp_path / 'nothing')]) == 1


def test_ls_names_every_episode(
    tmp_path: Path, make_episode: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    make_episode(tmp_path / 'a')
    make_episode(tmp_path / 'deep' / 'b', outcome='failure')
    (tmp_path / 'c').mkdir()
    (tmp_path / 'c' / 'c_0.mcap').write_bytes(b'')
    assert main(['ls', str(tmp_path), '--json']) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(one['episode_id'], one['outcome'], one['messages']) for one in rows] == [
        ('a', 'success', 60),
        ('c', 'DAMAGED', 0),
        ('b', 'failure', 60),
    ]
    assert main(['ls', str(tmp_path)]) == 0
    assert '3 episodes' in capsys.readouterr().out


def test_show_prints_facts_and_topics(
    tmp_path: Path, make_episode: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    make_episode(tmp_path / 'a')
    assert main(['show', str(tmp_path / 'a')]) == 0
    text = capsys.readouterr().out
    assert 'put the red can' in text
    assert '30.30 Hz' in text
    assert main(['show', str(tmp_path / 'a'), '--json']) == 0
    document = json.loads(capsys.readouterr().out)
    assert document['manifest']['episode_id'] == 'a'
    assert main(['show', str(tmp_path / 'nothing')]) == 1
    assert 'never closed' in capsys.readouterr().err
