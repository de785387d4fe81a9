"""make_data writes whole episodes once: real bags, resumable, labelled by what happened."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from lwd_recorder.bag import read_bag
from lwd_recorder.manifest import EpisodeManifest
from lwd_sim.data import make_data
from lwd_sim.world import Observation, World
from rich.console import Console
from rosbags.highlevel import AnyReader


def make(store: Path, *arguments: str) -> dict[str, float]:
    command = [
        'ros2',
        'run',
        'lwd_sim',
        'make_data',
        '--out',
        str(store),
        '--workers',
        '1',
        '--json',
    ]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_bags_hold_what_a_robot_records_and_a_second_run_makes_only_what_is_missing(
    tmp_path: Path,
) -> None:
    assert make(tmp_path, '--episodes', '1', '--skill', 'expert')['made'] == 1
    again = make(tmp_path, '--episodes', '2', '--skill', 'expert')
    assert (again['made'], again['present']) == (1, 1)
    folders = sorted(path.parent for path in tmp_path.glob('robots/*/episodes/*/*/manifest.json'))
    assert len(folders) == 2
    for folder in folders:
        manifest = EpisodeManifest.load(folder)
        counts: dict[str, int] = {}
        for topic, _, _, _ in read_bag(folder):
            name = topic.removeprefix(f'/{manifest.robot_id}/')
            counts[name] = counts.get(name, 0) + 1
        ticks = counts['executed_action']
        assert manifest.outcome == 'success'
        assert manifest.kind == 'demonstration'
        assert counts['joint_states'] == counts['sim/state'] == ticks + 1
        for camera in ('head', 'hand_left', 'hand_right'):
            assert abs(counts[f'camera/{camera}/image/compressed'] - ticks / 3) <= 1
        assert counts['episode'] == 2
        with AnyReader(
            [folder]
        ) as strict:  # decodes with the bag's own definitions, to the last byte
            for connection, _, data in strict.messages():
                strict.deserialize(data, connection.msgtype)


def hours_of(store: Path, task: str) -> float:
    manifests = [
        EpisodeManifest.load(path.parent)
        for path in store.glob('robots/*/episodes/*/*/manifest.json')
    ]
    return sum(m.ended_s - m.started_s for m in manifests if m.task == task) / 3600


def test_hours_are_simulated_time_shared_by_the_tasks(tmp_path: Path) -> None:
    asked = ('--task', 'restock,handover', '--skill', 'expert', '--hours')
    first = make(tmp_path, *asked, '0.004')  # 7.2 s of each
    for task in ('restock', 'handover'):
        assert (
            0.002 <= hours_of(tmp_path, task) < 0.002 + 12 / 3600
        )  # at most one episode too many
    assert first['hours'] >= 0.004
    assert first['present'] == 0
    again = make(tmp_path, *asked, '0.004')
    assert (again['made'], again['present']) == (0, first['made'])
    more = make(tmp_path, *asked, '0.007')
    assert more['made'] >= 1
    assert more['present'] == first['made']
    assert more['hours'] >= 0.007


def test_unknown_task_is_refused_by_name(tmp_path: Path) -> None:
    command = ['ros2', 'run', 'lwd_sim', 'make_data', '--out', str(tmp_path), '--task', 'juggle']
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert 'juggle' in done.stderr
    assert 'restock' in done.stderr


def test_a_time_that_is_none_is_refused(tmp_path: Path) -> None:
    command = ['ros2', 'run', 'lwd_sim', 'make_data', '--out', str(tmp_path), '--hours', '-1']
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert '--hours -1.0' in done.stderr


def test_what_is_refused_is_named_as_it_was_given(tmp_path: Path) -> None:
    """Brackets in it are no markup of the terminal's."""
    command = ['ros2', 'run', 'lwd_sim', 'make_data', '--out', str(tmp_path), '--task', '[/x]']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "'[/x]' is not one of" in done.stderr, done.stderr


def refused(store: Path, *arguments: str, **environment: str) -> str:
    """What is said when nothing can be made."""
    command = ['ros2', 'run', 'lwd_sim', 'make_data', '--out', str(store), '--workers', '1']
    done = subprocess.run(
        [*command, '--episodes', '1', *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    return ' '.join(done.stderr.split())


def test_a_profile_that_is_none_is_refused_by_name(tmp_path: Path, odd_profile: str) -> None:
    assert 'g1_latpop' in refused(tmp_path, '--profile', 'g1_latpop')
    assert 'control_rate_hz 50' in refused(tmp_path, '--profile', odd_profile)


@pytest.mark.parametrize(
    ('store', 'said'),
    [
        ('', 'make_data: the store is empty; write a folder'),
        (
            's3://none/at/all',
            'make_data: s3://none/at/all/robots/demo_01/episodes/: Could not connect',
        ),
    ],
)
def test_a_store_that_cannot_be_used_is_told_in_a_line(
    tmp_path: Path, store: str, said: str
) -> None:
    server = {'AWS_ENDPOINT_URL': 'http://127.0.0.1:9', 'AWS_MAX_ATTEMPTS': '1'}
    key = {'AWS_ACCESS_KEY_ID': 'a', 'AWS_SECRET_ACCESS_KEY': 'b'}
    assert refused(tmp_path, '--out', store, **server, **key).startswith(said)


def test_without_opengl_it_says_what_to_install(tmp_path: Path) -> None:
    assert 'install libegl1' in refused(tmp_path, MUJOCO_GL='disable')


@pytest.fixture
def shaken(monkeypatch: pytest.MonkeyPatch) -> None:
    """In worker processes, forked so that they have it too, the simulation of seed 1 blows up at tick 5."""
    fork, step = multiprocessing.get_context('fork'), World.step

    def shaken_step(self: World, *arguments: Any, **named: Any) -> Observation:
        if self._built == ('restock', 1, 'trained') and self.tick == 5:
            self.scene.data.qvel[:] = 1e11
        return step(self, *arguments, **named)

    monkeypatch.setattr(multiprocessing, 'get_context', lambda kind: fork)
    monkeypatch.setattr(World, 'step', shaken_step)


@pytest.mark.usefixtures('shaken')
def test_an_episode_that_blows_up_is_named_and_the_others_are_made(tmp_path: Path) -> None:
    said = io.StringIO()
    console = Console(file=said, width=500)
    options = make_data.Options(episodes=3, skill='expert', out=str(tmp_path), workers=1)
    counts = make_data.make(options, console)
    assert (counts['made'], counts['failed']) == (2, 1)
    assert 'demo_01-restock-0000001-' in said.getvalue()
    assert 'unstable' in said.getvalue()
    seeds = {json.loads(path.read_text())['seed'] for path in tmp_path.rglob('manifest.json')}
    assert seeds == {0, 2}
