"""An export holds what the replay holds; LeRobot's own loader opens it and gives the same frames."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg
from lwd_learner.interop import InteropError
from lwd_learner.interop.lerobot.export import ExportConfig, export_lerobot
from lwd_learner.interop.lerobot.reader import LeRobotReader
from lwd_learner.interop.lerobot.writer import VideoConfig
from lwd_learner.replay import EpisodeFrames, Replay
from lwd_learner.replay import command as replay_command
from lwd_policy_node.places import lwd_home
from lwd_policy_node.profile import load_profile

PROFILE = load_profile('g1_laptop')
PSNR_FRAME, PSNR_MEDIAN = 26.0, 30.0
"""dB that every frame, and half of the frames, must reach at crf 18 with full colour (64x64)."""
LEROBOT = 'lerobot==0.4.4'


def scene(seed: int, tick: int) -> npt.NDArray[np.uint8]:
    """A smooth picture with a bright square that moves by 2 pixels a tick: a neighbour's picture is another one."""
    y, x = np.mgrid[0:64, 0:64].astype(np.float64)
    rgb = np.stack([x * 2 + seed * 9, y * 2 + seed * 5, 128 + 60 * np.sin(x / 9 + seed)], axis=-1)
    image = np.clip(rgb, 0, 255).astype(np.uint8)
    at = (2 * tick + 7 * seed) % 48
    image[at : at + 16, 10:26] = (250, 240, 20)
    return image


def episode(
    number: int, ticks: int = 40, gap_at: int | None = None, epoch_s: int = 0, **changes
) -> EpisodeFrames:
    rng = np.random.default_rng(number)
    state = np.cumsum(rng.normal(scale=0.02, size=(ticks, 40)), axis=0).astype(np.float32)
    stamp_ns = 10**9 * (epoch_s + 50 + number) + np.arange(ticks, dtype=np.int64) * 33_333_333
    if gap_at is not None:
        stamp_ns[gap_at:] += 400_000_000
    source = np.where(np.arange(ticks) < ticks // 2, 1, 2).astype(np.uint8)
    fields = {
        'episode_id': f'g1_01-{number:04d}',
        'robot_id': 'g1_01',
        'task': 'restock' if number % 2 else 'handover',
        'instruction': f'restock the {("red", "blue")[number % 2]} can',
        'kind': 'rollout',
        'outcome': 'success' if number % 3 else 'failure',
        'stamp_s': stamp_ns.astype(np.float64) * 1e-9,
        'state': state,
        'action': state[:, :16] * 1.01,
        'source': source,
        'policy_version': np.where(source == 1, 5, 0).astype(np.int64),
        'jpeg': {
            camera.name: [
                simplejpeg.encode_jpeg(scene(number + c, t), 92)
                if t % 3 == c % 2 * (t > 0)
                else None
                for t in range(ticks)
            ]
            for c, camera in enumerate(PROFILE.cameras)
        },
        'seed': 2**63 + number,
        'label': state[:, : 2 + number % 2],
        'label_names': ('can.x', 'can.y', 'can.z')[: 2 + number % 2],
    }
    return EpisodeFrames(**(fields | changes))


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    replay = Replay.create(tmp_path / 'replay', PROFILE)
    replay.append(
        'offline', [episode(1, kind='demonstration'), episode(2, kind='play', gap_at=25)]
    )
    replay.append('online', [episode(3), episode(4, gap_at=13, outcome='aborted'), episode(5)])
    return replay


def rows_of(replay: Replay, number: int) -> tuple[str, npt.NDArray[np.int64]]:
    for name in ('offline', 'online'):
        at = replay.index(name).by_id.get(f'g1_01-{number:04d}')
        if at is not None:
            facts = replay.episodes(name)[at]
            return name, np.arange(facts.start, facts.stop)
    raise KeyError(number)


def psnr(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    error = ((a.astype(np.float64) - b) ** 2).mean(axis=(1, 2, 3))
    return 10 * np.log10(255**2 / np.maximum(error, 1e-9))


def test_an_export_holds_rows_pictures_tasks_and_ends(tmp_path: Path, replay: Replay):
    done = export_lerobot(replay, tmp_path / 'out')
    assert (done.episodes, done.lerobot_episodes, done.frames, done.left_out) == (5, 7, 200, 0)
    reader = LeRobotReader(tmp_path / 'out')
    assert reader.info['codebase_version'] == 'v3.0' and reader.fps == 30
    assert reader.info['total_frames'] == 200 and reader.info['splits'] == {'train': '0:7'}
    assert reader.column_names('action') == list(PROFILE.joint_names)
    episodes = reader.episodes()
    assert [e.length for e in episodes] == [40, 25, 15, 40, 13, 27, 40]
    assert episodes[0].sentence == 'restock the blue can'
    assert episodes[1].facts['lwd/episode_id'] == episodes[2].facts['lwd/episode_id']
    got = reader.columns(episodes[3], 'observation.state', 'action', 'next.reward', 'next.done')
    name, rows = rows_of(replay, 3)
    np.testing.assert_array_equal(got['observation.state'], replay.index(name).state.data[rows])
    np.testing.assert_array_equal(got['action'], replay.index(name).action.data[rows])
    assert got['next.done'].nonzero()[0].tolist() == [39] and not got['next.reward'].any()
    ends = [reader.columns(e, 'next.done', 'next.reward') for e in episodes]
    assert [bool(end['next.done'][-1]) for end in ends] == [
        True, False, True, True, False, False, True,
    ]  # fmt: skip
    assert [float(end['next.reward'].sum()) for end in ends] == [1, 0, 0, 0, 0, 0, 1]
    for c, camera in enumerate(PROFILE.cameras):
        pictures = np.stack(
            list(reader.pictures(episodes[3], f'observation.images.{camera.name}'))
        )
        expected = replay.images(replay.global_rows(name, rows))[:, c]
        assert psnr(pictures, expected).min() > PSNR_FRAME
        assert np.median(psnr(pictures, expected)) > PSNR_MEDIAN


def test_a_part_is_chosen_and_files_roll_over(tmp_path: Path, replay: Replay, monkeypatch):
    from lwd_learner.interop.lerobot import export as module
    from lwd_learner.interop.lerobot.writer import LeRobotWriter

    monkeypatch.setattr(
        module,
        'LeRobotWriter',
        lambda *args: LeRobotWriter(*args, data_file_mb=-1, video_file_mb=-1),
    )
    config = ExportConfig(dataset=('online',), outcome=('success', 'failure'))
    assert export_lerobot(replay, tmp_path / 'out', config).episodes == 2
    reader = LeRobotReader(tmp_path / 'out')
    _, second = reader.episodes()
    assert second.facts['data/file_index'] == 1
    assert second.facts['videos/observation.images.head/file_index'] == 1
    assert second.facts['videos/observation.images.head/from_timestamp'] == 0
    name, rows = rows_of(replay, 5)
    got = reader.columns(second, 'observation.state')['observation.state']
    np.testing.assert_array_equal(got, replay.index(name).state.data[rows])
    assert len(list(reader.pictures(second, 'observation.images.head'))) == 40


def test_statistics_are_those_of_the_rows(tmp_path: Path, replay: Replay):
    export_lerobot(replay, tmp_path / 'out')
    stats = json.loads((tmp_path / 'out/meta/stats.json').read_text())
    state = np.concatenate([replay.index(n).state.data for n in ('offline', 'online')])
    np.testing.assert_allclose(stats['observation.state']['mean'], state.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(stats['observation.state']['std'], state.std(axis=0), atol=1e-6)
    assert stats['action']['count'] == [200]
    head = stats['observation.images.head']
    assert np.shape(head['mean']) == (3, 1, 1) and 0 < head['q50'][0][0][0] < 1


def test_what_cannot_be_exported_is_refused_and_leaves_nothing(
    tmp_path: Path, replay: Replay, capsys
):
    with pytest.raises(InteropError, match='no episode of'):
        export_lerobot(replay, tmp_path / 'out', ExportConfig(task=('dance',)))
    with pytest.raises(InteropError, match='av1 encoder halves colour'):
        video = VideoConfig(codec='av1', colour='full')
        export_lerobot(replay, tmp_path / 'out', ExportConfig(video=video))
    assert [path.name for path in tmp_path.iterdir()] == ['replay']
    assert replay_command.main(['export', str(tmp_path / 'out'), str(tmp_path / 'replay')]) == 0
    assert '5 episodes as 7 without gaps, 200 frames' in capsys.readouterr().out
    assert replay_command.main(['export', str(tmp_path / 'out'), str(tmp_path / 'replay')]) == 1
    assert 'exists; name a new folder' in capsys.readouterr().err
    slow = Replay.create(tmp_path / 'slow', dataclasses.replace(PROFILE, control_rate_hz=29.97))
    with pytest.raises(InteropError, match=r'29\.97 rows a second'):
        export_lerobot(slow, tmp_path / 'out2')


def lerobot_python() -> str:
    """Python of an environment with LeRobot: $LEROBOT_PYTHON, or runs/lerobot/venv, made if need be."""
    given = os.environ.get('LEROBOT_PYTHON')
    if given:
        return given
    home = lwd_home() / 'lerobot' / 'venv'
    python = home / 'bin' / 'python'
    if not (home / 'complete').exists():
        clean = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
        for command in (
            [sys.executable, '-m', 'venv', '--clear', str(home)],
            [str(python), '-m', 'pip', 'install', '--quiet', LEROBOT],
        ):
            made = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.skip(
                    f'no environment with {LEROBOT}: {made.stderr.strip()[-300:]}; give one with LEROBOT_PYTHON'
                )
        (home / 'complete').touch()
    return str(python)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize('codec', ['h264', 'av1', 'hevc'])
def test_lerobots_own_loader_opens_an_export_and_gives_the_same_frames(
    tmp_path: Path, replay: Replay, codec
):
    python = lerobot_python()
    export_lerobot(replay, tmp_path / 'out', ExportConfig(video=VideoConfig(codec=codec)))
    script = Path(__file__).with_name('read_with_lerobot.py')
    clean = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    clean['HF_HOME'] = str(tmp_path / 'hf')
    read = subprocess.run(
        [python, str(script), str(tmp_path / 'out'), str(tmp_path / 'read.npz'), 'pyav'],
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert read.returncode == 0, read.stderr[-3000:]
    got = np.load(tmp_path / 'read.npz')
    facts = json.loads(str(got['facts']))
    assert (facts['frames'], facts['episodes'], facts['fps']) == (200, 7, 30)
    assert facts['names'] == list(PROFILE.joint_names) and facts['robot_type'] == 'g1_laptop'
    assert facts['from_to'] == [
        [0, 40], [40, 65], [65, 80], [80, 120], [120, 133], [133, 160], [160, 200],
    ]  # fmt: skip
    where = [rows_of(replay, number) for number in range(1, 6)]
    index = [replay.index(name) for name, _ in where]

    def column(of) -> npt.NDArray:
        return np.concatenate(
            [getattr(i, of).data[rows] for i, (_, rows) in zip(index, where, strict=True)]
        )

    np.testing.assert_array_equal(got['observation.state'], column('state'))
    np.testing.assert_array_equal(got['action'], column('action'))
    np.testing.assert_array_equal(got['lwd.source'], column('source'))
    np.testing.assert_array_equal(got['lwd.policy_version'], column('policy_version'))
    np.testing.assert_array_equal(got['lwd.stamp_ns'] * 1e-9, column('stamp_s'))
    lengths = [stop - start for start, stop in facts['from_to']]
    np.testing.assert_array_equal(
        got['timestamp'], np.concatenate([np.arange(n) / 30 for n in lengths]).astype(np.float32)
    )
    np.testing.assert_array_equal(
        got['frame_index'], np.concatenate([np.arange(n) for n in lengths])
    )
    assert facts['tasks'] == [replay.instructions[i] for i in column('instruction').tolist()]
    np.testing.assert_allclose(
        facts['mean']['observation.state'], column('state').mean(axis=0), atol=1e-6
    )
    assert facts['chunk'] == [8, 4, 16] and facts['history'] == [8, 2, 3, 64, 64]
    expected = np.concatenate(
        [replay.images(replay.global_rows(name, rows)) for name, rows in where]
    )
    frame, median = (PSNR_FRAME, PSNR_MEDIAN) if codec != 'av1' else (20.0, 24.0)
    for c, camera in enumerate(PROFILE.cameras):
        pictures = got[f'observation.images.{camera.name}']
        quality = psnr(pictures, expected[:, c])
        print(
            f'{codec} {camera.name}: PSNR least {quality.min():.2f}, median {np.median(quality):.2f} dB'
        )
        assert quality.min() > frame and np.median(quality) > median
        later = psnr(
            pictures[:-3], expected[3:, c]
        )  # the next picture of the camera: clearly another one
        assert np.median(quality) > np.median(later) + 3
