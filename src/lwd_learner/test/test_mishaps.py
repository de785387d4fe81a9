"""What may go wrong around a run: a place for weights that is away, a damaged file, a typing error, a full machine."""

from __future__ import annotations

import copy
import dataclasses
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lwd_policy_node.policy import Policy

sys.path.insert(0, str(Path(__file__).parent))
from lwd_learner.training import preflight, sft_stage, train_command
from lwd_learner.training import team as team_module
from lwd_learner.training.accelerate import uncompiled_copy
from lwd_learner.training.checkpoint import CheckpointError, latest_checkpoint
from lwd_learner.training.config import SftConfig
from lwd_learner.training.run import Stopped, TrainingRun
from lwd_learner.training.team import Team, WorkerGoneError
from replay_of_noise import episode, make_replay
from small_learner import SMALL, small_config, small_world


class Bucket:
    """An announcer whose place for weights is away for its first publications."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.stages: list[str] = []

    def publish(
        self, policy_path: Path, *, stage: str, step: int, replay_version: str = ''
    ) -> int:
        Policy.load(policy_path)
        if self.away:
            self.away -= 1
            raise OSError('the bucket is away')
        self.stages.append(stage)
        return len(self.stages)


def a_run(folder: Path, bucket: Bucket, **changes: object) -> None:
    training = TrainingRun(small_config(folder, online_minutes=0, **changes), bucket)
    try:
        training.execute()
    finally:
        training.close()


def test_a_version_that_no_place_takes_is_published_later(tmp_path, caplog):
    make_replay(tmp_path / 'train' / 'replay')
    (tmp_path / 'store').mkdir()
    bucket = Bucket(away=2)
    with caplog.at_level(logging.ERROR):
        a_run(tmp_path, bucket)
    assert 'was not published: the bucket is away' in caplog.text
    assert bucket.stages == ['offline']  # at the end of the run


def test_the_end_of_a_stage_that_was_never_published_is_when_the_run_goes_on(tmp_path):
    make_replay(tmp_path / 'train' / 'replay')
    (tmp_path / 'store').mkdir()
    a_run(tmp_path, Bucket(away=99))
    back = Bucket(away=0)
    a_run(tmp_path, back, resume=True)
    assert back.stages == ['offline']
    a_run(tmp_path, back, resume=True)
    assert back.stages == ['offline'] * 2  # its last checkpoint does not know better


def test_a_damaged_checkpoint_is_named(tmp_path):
    make_replay(tmp_path / 'train' / 'replay')
    (tmp_path / 'store').mkdir()
    a_run(tmp_path, Bucket(away=0))
    path = latest_checkpoint(tmp_path / 'train') / 'learner.safetensors'
    path.write_bytes(path.read_bytes()[:100])
    training = TrainingRun(small_config(tmp_path, online_minutes=0, resume=True), None)
    with pytest.raises(CheckpointError, match=r'learner\.safetensors cannot be read .*latest'):
        training.execute()
    training.close()


def test_a_task_that_is_none_is_refused_before_anything_is_learned(tmp_path):
    config = small_config(tmp_path, tasks=('restok',), eval_episodes=4)
    (tmp_path / 'store').mkdir()
    with pytest.raises(ValueError, match=r"--tasks 'restok': .*restock"):
        TrainingRun(config, None)
    found = {f.check: f for f in preflight.Preflight(config).run()}
    assert not found['evaluation'].ok
    TrainingRun(dataclasses.replace(config, eval_episodes=0), None).close()


@pytest.mark.parametrize(('place', 'said'), [('http://10.0.0.5/x', 'http'), ('s3://', 's3')])
def test_a_store_that_is_none_is_an_error_of_one_line(tmp_path, capsys, place, said):
    assert train_command.run(small_config(tmp_path, store=place, publish=False)) == 1
    shown = capsys.readouterr().err
    assert said in shown
    assert 'Traceback' not in shown


def test_a_full_gpu_is_told_with_what_helps(tmp_path, monkeypatch, capsys):
    def full(self: TrainingRun) -> None:
        raise torch.OutOfMemoryError('CUDA out of memory')

    monkeypatch.setattr(TrainingRun, 'execute', full)
    (tmp_path / 'store').mkdir()
    assert train_command.run(small_config(tmp_path, publish=False)) == 1
    assert '--rl.batch-size' in capsys.readouterr().err


def test_play_that_happened_to_succeed_is_no_demonstration_to_begin_with(tmp_path):
    (tmp_path / 'store').mkdir()
    training = TrainingRun(small_config(tmp_path), None)
    training.replay.append('offline', [episode(1, 'success', 'play')])
    training.stopping.set()
    with pytest.raises(Stopped):
        training.execute()
    assert training.policy is None
    training.close()


def test_the_check_reads_the_oldest_episodes_too(tmp_path, store, send, hand_made, monkeypatch):
    monkeypatch.setattr(preflight, 'EPISODES', 4)
    for i in range(8):
        send(
            hand_made(
                episode_id=f'g1_01-20250101T00000{i}-0000000{i}',
                kind='demonstration' if i == 0 else 'rollout',
                sources=(2 if i == 0 else 1,) * 24,
            )
        )
    config = small_config(tmp_path, publish=False)
    found = {f.check: f for f in preflight.Preflight(config).run()}
    assert found['labels'].ok, found


def test_more_labels_than_the_tower_was_made_for_are_left_out(tmp_path):
    replay, _, _ = small_world(tmp_path)
    policy = Policy(dataclasses.replace(SMALL, label_dim=3))
    sft_stage.fit_statistics(policy, replay, 0.99)
    config = SftConfig(vision='train', steps=1, seconds=0, batch_size=4)
    cloning = sft_stage.images_cloning(policy, replay, config, 0, torch.device('cpu'))
    losses = []

    def report(_: sft_stage.Cloning, info: dict[str, float]) -> bool:
        losses.append(info['sft/label_loss'])
        return False

    sft_stage.train_images(policy, replay, config, cloning, report)
    assert len(losses) == 1


def test_a_worker_that_ends_at_its_start_is_named(tmp_path, monkeypatch):
    def start(self: Team, *_: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, '-c', 'raise SystemExit(3)'])

    monkeypatch.setattr(team_module.Team, '_start', start)
    with pytest.raises(WorkerGoneError, match=r'worker 1 of 2 ended at its start \(exit code 3\)'):
        Team(small_config(tmp_path, num_workers=2))


def test_a_copy_of_a_compiled_policy_calls_its_own_networks():
    policy = Policy(SMALL)
    policy.expert.head.from_context = policy.expert.head.from_context  # as compiling does
    copied = uncompiled_copy(policy)
    assert copied.expert.head.from_context.__self__ is copied.expert.head
    assert copy.deepcopy(policy).expert.head.from_context.__self__ is not copied.expert.head
