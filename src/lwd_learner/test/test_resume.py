"""A run that was killed goes on as if it had not been; one that would go on as another run is refused."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from lwd_learner.training.checkpoint import CheckpointError, latest_checkpoint
from lwd_learner.training.config import OfflineConfig, RlConfig, SftConfig, TrainConfig
from lwd_learner.training.narrator import Narrator
from lwd_learner.training.run import Stopped, TrainingRun
from lwd_learner.training.stage_clock import StageClock
from replay_of_noise import make_replay

SFT_STEPS, HEAD_STEPS, OFFLINE_STEPS = 6, 30, 40
ARGUMENTS = (
    '--no-publish --eval-episodes 0 --online-minutes 0 --metrics-seconds 0 --checkpoint-seconds 0.2 --threads 1 '
    f'--sft.vision train --sft.batch-size 8 --sft.steps {SFT_STEPS} --sft.head-steps {HEAD_STEPS} '
    f'--offline.steps {OFFLINE_STEPS} '
    '--rl.batch-size 32 --rl.actor-batch-size 8 --rl.schedule cosine'
).split()


def start(run_dir: Path, *more: str) -> subprocess.Popen[bytes]:
    (run_dir.parent / 'store').mkdir(exist_ok=True)
    command = [sys.executable, '-m', 'lwd_learner.training.train_command', *ARGUMENTS, *more]
    command += ['--run-dir', str(run_dir), '--store', str(run_dir.parent / 'store')]
    return subprocess.Popen(command, env={**os.environ, 'OMP_NUM_THREADS': '1'})


def curve(run_dir: Path) -> dict[tuple[str, int], dict[str, float]]:
    """Every logged figure by stage and step; of a step that was taken twice the later row."""
    rows = [json.loads(line) for line in (run_dir / 'metrics.jsonl').read_text().splitlines()]
    return {
        (row.pop('stage'), row.pop('step')): {k: v for k, v in row.items() if k != 'wall_s'}
        for row in rows
    }


def kill_at(run_dir: Path, stage: str, step: int) -> None:
    """Run until a row of this step is written, then SIGKILL."""
    process = start(run_dir, '--resume')
    metrics = run_dir / 'metrics.jsonl'
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, 'ended before it was killed'
        lines = metrics.read_text().splitlines()[:-1] if metrics.exists() else []
        last = json.loads(lines[-1]) if lines else {'stage': '', 'step': 0}
        if last['stage'] == stage and last['step'] >= step:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_a_run_killed_in_every_stage_has_the_curve_of_one_that_never_was(tmp_path):
    """Real processes, SIGKILL in the encoder's, the expert's and the offline stage: each loss is the same to 1e-6."""
    make_replay(tmp_path / 'whole' / 'replay', online=False)
    shutil.copytree(tmp_path / 'whole', tmp_path / 'killed')
    assert start(tmp_path / 'whole').wait() == 0
    kill_at(tmp_path / 'killed', 'sft', SFT_STEPS // 2)
    kill_at(tmp_path / 'killed', 'sft', HEAD_STEPS // 2)
    kill_at(tmp_path / 'killed', 'offline', OFFLINE_STEPS // 2)
    assert latest_checkpoint(tmp_path / 'killed').name.startswith('step_')
    assert start(tmp_path / 'killed', '--resume').wait() == 0
    whole, killed = curve(tmp_path / 'whole'), curve(tmp_path / 'killed')
    assert set(whole) == set(killed)
    assert sum(stage == 'offline' for stage, _ in whole) == OFFLINE_STEPS
    for key, expected in whole.items():
        assert killed[key] == pytest.approx(expected, rel=1e-6, abs=1e-6), key


def config_of(folder: Path, **changes: object) -> TrainConfig:
    config = TrainConfig(
        run_dir=folder / 'train',
        store=str(folder / 'store'),
        online_minutes=0,
        eval_episodes=0,
        sft=SftConfig(head_steps=4, head_seconds=0),
        rl=RlConfig(batch_size=16, critic_hidden=16, clone_batch_size=8, actor_batch_size=4),
        offline=OfflineConfig(steps=6, seconds=0),
        threads=1,
        metrics_seconds=0,
    )
    return dataclasses.replace(config, **changes)


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """The configuration of a run that was stopped (Ctrl-C) in the middle of SFT."""
    make_replay(tmp_path / 'train' / 'replay')
    (tmp_path / 'store').mkdir()
    config = config_of(tmp_path)
    training = TrainingRun(config, None)
    tell = Narrator.step

    def stop_at_two(self, stage, clock, info):
        tell(self, stage, clock, info)
        if clock.done == 2:
            training.stopping.set()

    with monkeypatch.context() as patch:
        patch.setattr(Narrator, 'step', stop_at_two)
        with pytest.raises(Stopped):
            training.execute()
    training.close()
    return dataclasses.replace(config, resume=True)


def test_a_stopped_sft_goes_on_with_its_third_step(interrupted):
    again = TrainingRun(interrupted, None)
    assert again.progress.stage == 'sft'
    again.execute()
    again.close()
    rows = (interrupted.run_dir / 'metrics.jsonl').read_text().splitlines()
    steps = [(row['stage'], row['step']) for row in map(json.loads, rows)]
    assert steps == [('sft', i) for i in range(1, 5)] + [('offline', i) for i in range(1, 7)]


def test_another_configuration_is_refused_by_name(interrupted):
    changed = dataclasses.replace(
        interrupted, seed=5, rl=dataclasses.replace(interrupted.rl, gamma=0.9)
    )
    with pytest.raises(CheckpointError, match=r'--rl\.gamma was 0\.995, is 0\.9; --seed was 0'):
        TrainingRun(changed, None)
    TrainingRun(dataclasses.replace(changed, allow_drift=True), None).close()
    free = {
        'checkpoint_seconds': 1.0,
        'tasks': ('handover',),
        'eval_best_of': 4,
        'max_episode_bytes': 1 << 40,
    }
    TrainingRun(dataclasses.replace(interrupted, **free), None).close()


def test_another_replay_is_refused_but_one_that_grew_is_not(interrupted):
    replay = interrupted.run_dir / 'replay'
    shutil.rmtree(replay)
    make_replay(replay, online=False)
    with pytest.raises(CheckpointError, match='first 4 episodes of online are not those'):
        TrainingRun(interrupted, None)
    shutil.rmtree(replay)
    make_replay(replay)
    TrainingRun(interrupted, None).close()


def test_other_code_is_refused_by_file(interrupted):
    path = latest_checkpoint(interrupted.run_dir) / 'identity.json'
    saved = json.loads(path.read_text())
    saved['code']['lwd_learner/training/learner.py'] = 'another'
    saved['code']['torch'] = '1.0'
    path.write_text(json.dumps(saved))
    with pytest.raises(CheckpointError, match=r'training/learner\.py is changed; torch was 1\.0'):
        TrainingRun(interrupted, None)


def test_a_kill_while_a_checkpoint_is_replaced_leaves_the_one_before(interrupted):
    folder = latest_checkpoint(interrupted.run_dir)
    folder.replace(folder.with_name(f'.{folder.name}.replaced'))
    again = TrainingRun(interrupted, None)
    again.execute()
    again.close()
    assert latest_checkpoint(interrupted.run_dir).name == 'done'


def test_a_clock_ends_by_steps_or_by_time_and_leaves_pauses_out():
    clock = StageClock(4, 0.0)
    clock.done = 3
    assert (clock.progress, clock.over, clock.total) == (0.75, False, 4)
    clock.done = 4
    assert clock.over
    timed = StageClock(None, 10.0)
    timed.load({'done': 7, 'elapsed_s': 5.0})
    assert timed.progress == pytest.approx(0.5, abs=0.01)
    assert timed.total == pytest.approx(14, abs=1)
    assert StageClock(0, 0.0).over
    endless = StageClock(None, math.inf)
    endless.load({'done': 7, 'elapsed_s': 1e9})
    assert (endless.progress, endless.over, endless.total) == (0.0, False, 0)
    with pytest.raises(ValueError, match='needs a bound'):
        StageClock(None, 0.0)


def test_a_stage_that_its_time_ended_long_before_its_steps_says_so():
    clock = StageClock(2000, 80.0)
    clock.load({'done': 176, 'elapsed_s': 40.0})
    assert clock.shortfall == ''  # it may still come to them
    clock.load({'done': 176, 'elapsed_s': 80.0})
    assert clock.shortfall == 'had 176 of 2000 steps when its 80 s were over'
    clock.load({'done': 1500, 'elapsed_s': 80.0})
    assert clock.shortfall == ''
    by_time = StageClock(None, 10.0)
    by_time.load({'done': 3, 'elapsed_s': 10.0})
    assert by_time.shortfall == ''
