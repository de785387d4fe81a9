"""The commands as a user types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lwd_learner.ingest import command as ingest_command
from lwd_learner.replay import Replay
from lwd_learner.replay import command as replay_command


@pytest.fixture
def arguments(tmp_path: Path, store) -> list[str]:
    return [
        '--store',
        store.uri,
        '--replay',
        str(tmp_path / 'replay'),
        '--journal',
        str(tmp_path / 'ingest.jsonl'),
    ]


def test_ingest_then_stats(tmp_path: Path, send, hand_made, arguments, capsys):
    """Figures of the replay are those of what was sent; a script reads both commands as JSON."""
    send(hand_made(sources=(1,) * 6 + (2,) * 3 + (1,) * 3, missing=()))
    send(
        hand_made(episode_id='demo-1', kind='demonstration', outcome='failure', sources=(2,) * 12)
    )
    assert ingest_command.main([*arguments, '--json']) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line['dataset'] for line in lines} == {'offline', 'online'}
    assert replay_command.main(['stats', str(tmp_path / 'replay'), '--json']) == 0
    stats = json.loads(capsys.readouterr().out)['datasets']
    assert stats['online']['success_by_version'] == {'7': {'n': 1, 'k': 1}}
    assert stats['online']['outcomes'] == {'success': 1} and stats['online']['images'] == 12
    assert stats['online']['by_task']['restock']['human_hours'] == pytest.approx(3 / 30 / 3600)
    assert stats['offline']['by_kind']['demonstration']['success'] == 0
    assert replay_command.main(['compact', str(tmp_path / 'replay')]) == 0
    assert replay_command.main(['stats', str(tmp_path / 'replay')]) == 0
    assert '1 episodes, 12 frames' in capsys.readouterr().out


def test_what_cannot_be_opened_is_named(tmp_path: Path, arguments, capsys):
    assert replay_command.main(['stats', str(tmp_path / 'nowhere')]) == 1
    assert 'no replay at' in capsys.readouterr().err
    assert ingest_command.main([*arguments, '--profile', 'g7']) == 1
    assert "no robot profile 'g7'" in capsys.readouterr().err


def test_following_takes_what_arrives_until_it_is_stopped(
    tmp_path: Path, store, send, hand_made, arguments
):
    """A separate process; SIGTERM ends it with 0 and the replay holds everything."""
    process = subprocess.Popen(
        [sys.executable, '-m', 'lwd_learner.ingest.command', *arguments, '--follow', '--json'],
        stdout=subprocess.PIPE,
        env=os.environ | {'OMP_NUM_THREADS': '1'},
    )
    try:
        assert process.stdout is not None
        for number in range(3):
            send(hand_made(episode_id=f'e-{number}'))
            assert json.loads(process.stdout.readline())['episode_id'] == f'e-{number}'
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
    assert len(Replay.open(tmp_path / 'replay').episodes('online')) == 3
