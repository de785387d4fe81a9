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
from lwd_learner.ingest.bag_messages import MAX_EPISODE_BYTES
from lwd_learner.replay import Replay
from lwd_learner.replay import command as replay_command
from lwd_policy_node.profile import load_profile
from lwd_recorder.recording.config import RecorderConfig


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


def test_a_larger_episode_is_taken_once_the_limit_is_raised(
    store, send, hand_made, arguments, capsys
):
    """The reason names the option; the default has room for the recorder's longest episode of `g1`'s cameras."""
    manifest = send(hand_made())
    limit = manifest.size_bytes - 1
    assert ingest_command.main([*arguments, '--max-episode-bytes', str(limit), '--json']) == 0
    refused = json.loads(capsys.readouterr().out)['quarantined']
    assert str(limit) in refused and '--max-episode-bytes' in refused and 'ingest' in refused
    (store.root / 'quarantine' / manifest.episode_id).rename(store.root / manifest.key_prefix)
    assert ingest_command.main([*arguments, '--json']) == 0
    assert json.loads(capsys.readouterr().out)['frames'] == 12
    cameras = load_profile('g1').cameras
    pixels_per_s = sum(camera.width * camera.height * camera.rate_hz for camera in cameras)
    longest_s = RecorderConfig.__dataclass_fields__['max_episode_s'].default
    assert (
        0.3 * pixels_per_s * longest_s < MAX_EPISODE_BYTES
    )  # a JPEG of 0.25 bytes a pixel is a good one


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
