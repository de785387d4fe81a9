"""make_data writes whole episodes once: real bags, resumable, labelled by what happened."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from lwd_recorder.bag import read_bag
from lwd_recorder.manifest import EpisodeManifest
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
