"""The strip is a picture of every camera over time, and says what happened."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import cv2


def strip(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ['ros2', 'run', 'lwd_sim', 'strip', *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_a_strip_has_a_row_a_camera_and_a_column_a_moment(tmp_path: Path) -> None:
    out = tmp_path / 'pictures' / 'x.png'
    done = strip('--seed', '3', '--out', str(out), '--columns', '4', '--zoom', '64', '--json')
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts['success'] is True
    assert 'can' in facts['instruction'] or 'box' in facts['instruction']
    picture = cv2.imread(str(out))
    assert picture.shape == (3 * 64, 4 * 64, 3)
    assert picture.std() > 20  # something is to be seen


def test_an_unknown_task_is_refused_by_name(tmp_path: Path) -> None:
    done = strip('--task', 'juggle', '--out', str(tmp_path / 'x.png'))
    assert done.returncode == 1
    assert 'juggle' in done.stderr
    assert 'Traceback' not in done.stderr


def test_without_opengl_it_says_what_to_install(tmp_path: Path) -> None:
    done = strip('--out', str(tmp_path / 'x.png'), MUJOCO_GL='disable')
    assert done.returncode == 1
    assert 'install libegl1' in done.stderr
    assert 'Traceback' not in done.stderr
