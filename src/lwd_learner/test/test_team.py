"""Updates that several processes share: the same step as one process takes, on all of them, or on none."""

from __future__ import annotations

import copy
import dataclasses
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import safetensors.torch
import torch
import tyro
from lwd_policy_node.policy import Policy

sys.path.insert(0, str(Path(__file__).parent))
from lwd_learner.training import team as team_module
from lwd_learner.training.batches import TensorBatch
from lwd_learner.training.checkpoint import Progress, save_checkpoint
from lwd_learner.training.config import (
    OfflineConfig,
    SftConfig,
    TrainConfig,
)
from lwd_learner.training.learner import Learner
from lwd_learner.training.ranks import _packed, _unpacked, _widths
from lwd_learner.training.run import Stopped, TrainingRun
from lwd_learner.training.team import Team, WorkerGoneError, arguments
from replay_of_noise import make_replay
from small_learner import SMALL, small_config

MEMBER = """
import os, sys
import safetensors.torch, tyro
from lwd_learner.training import team
from lwd_learner.training.config import TrainConfig

out = sys.argv.pop(1)
config = tyro.cli(TrainConfig, config=(tyro.conf.FlagConversionOff,))
rank, count, port = (int(os.environ[name]) for name in (team.RANK, team.COUNT, team.PORT))
learner = team.member(config, rank, count, port)
kept = {f'critic.{k}': v for k, v in learner.critic.state_dict().items()}
kept |= {f'edit.{k}': v for k, v in learner.policy.edit.state_dict().items()}
kept |= {f'expert.{k}': v for k, v in learner.policy.expert.state_dict().items()}
safetensors.torch.save_file({k: v.contiguous().clone() for k, v in kept.items()}, out)
"""


def config_of(folder: Path, **changes: object) -> TrainConfig:
    two = {
        'online_minutes': 0.0,
        'offline': OfflineConfig(steps=3, seconds=0),
        'threads': 2,
        'publish': False,
        'num_workers': 2,
    }
    return small_config(folder, **two | changes)


def batch_of(rows: int, seed: int) -> TensorBatch:
    g = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g)

    width = SMALL.chunk_dim // SMALL.horizon
    return TensorBatch(
        features=noise(rows, SMALL.feature_dim),
        text=noise(rows, 384),
        state=noise(rows, SMALL.state_dim),
        chunk=noise(rows, SMALL.horizon * width),
        steps=torch.ones(rows, SMALL.horizon, dtype=torch.bool),
        next_features=noise(rows, SMALL.feature_dim),
        next_state=noise(rows, SMALL.state_dim),
        reward=(noise(rows) > 0.5).float(),
        discount=torch.full((rows,), 0.9),
        correction=noise(rows) > 0,
    )


@pytest.fixture
def two(tmp_path, monkeypatch):
    """(learner of one process, leader of two, file that the member writes at its end)."""
    config = config_of(tmp_path)
    torch.manual_seed(0)
    policy = Policy(SMALL)
    written = tmp_path / 'member.safetensors'
    start = subprocess.Popen

    def start_writer(command, **options):
        return start([sys.executable, '-c', MEMBER, str(written), *command[3:]], **options)

    monkeypatch.setattr(team_module.subprocess, 'Popen', start_writer)
    team = Team(config)
    alone = Learner(copy.deepcopy(policy), dataclasses.replace(config, num_workers=1))
    leader = Learner(policy, config, team)
    team.begin(save_checkpoint(tmp_path / 'train', Progress(), policy, leader, 'start'))
    yield alone, leader, written
    team.close()


def test_two_processes_take_the_step_of_one_and_stay_the_same(two):
    alone, leader, written = two
    for step in range(4):
        batch, clone = batch_of(16, step), batch_of(8, 100 + step)
        info = leader.update(batch, clone, 0.9)
        expected = alone.update(batch, clone, 0.9)
        for name in ('value/loss', 'critic/loss'):  # what does not depend on noise
            assert info[name] == pytest.approx(expected[name], rel=1e-4), name
        torch.testing.assert_close(leader.q_error, alone.q_error, rtol=1e-4, atol=1e-6)
    for name, tensor in leader.critic.state_dict().items():  # Adam makes much of tiny gradients
        torch.testing.assert_close(tensor, alone.critic.state_dict()[name], rtol=1e-3, atol=2e-4)
    leader.ranks.close()
    found = safetensors.torch.load_file(str(written))
    modules = {
        'critic': leader.critic,
        'edit': leader.policy.edit,
        'expert': leader.policy.expert,
    }
    for kind, module in modules.items():
        for name, tensor in module.state_dict().items():
            assert torch.equal(tensor, found[f'{kind}.{name}']), (kind, name)
    leader.ranks.close = lambda: None


def test_what_fails_on_one_process_is_undone_on_all(two):
    alone, leader, _ = two
    bad = batch_of(16, 0)
    bad.reward[1] = float('nan')  # of the member's part
    before = copy.deepcopy(leader.critic.state_dict())
    assert any(name.startswith('skipped/') for name in leader.update(bad, batch_of(8, 1), 0.9))
    assert leader.skipped == 1
    for name, tensor in leader.critic.state_dict().items():
        assert torch.equal(tensor, before[name])
    good, clone = batch_of(16, 2), batch_of(8, 3)
    alone.step += 1
    expected = alone.update(good, clone, 0.9)['critic/loss']
    assert leader.update(good, clone, 0.9)['critic/loss'] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(('threads', 'each'), [(0, 3), (4, 2)])
def test_members_share_the_cores_that_the_run_may_use(tmp_path, monkeypatch, threads, each):
    """In a container or under taskset these are fewer than the machine has."""
    given = []
    monkeypatch.setattr('os.sched_getaffinity', lambda _: range(6))
    monkeypatch.setattr('os.cpu_count', lambda: 96)
    monkeypatch.setattr(torch, 'set_num_threads', given.append)
    monkeypatch.setattr(team_module.signal, 'signal', lambda *_: None)
    monkeypatch.setattr(team_module, 'TCPStore', lambda *_, **__: None)
    monkeypatch.setattr(team_module, '_join', lambda *_: None)
    monkeypatch.setattr(team_module.Ranks, 'next_order', lambda _: None)
    monkeypatch.setattr(team_module.dist, 'destroy_process_group', lambda: None)
    config = small_config(tmp_path, threads=threads)
    assert team_module.member(config, 1, 2, 0) is None
    assert given == [each]


def test_a_process_that_is_gone_is_named(two):
    _, leader, _ = two
    leader.ranks._members[0].kill()
    with pytest.raises(RuntimeError) as lost:
        for step in range(3):
            leader.update(batch_of(16, step), batch_of(8, step), 0.9)
    with pytest.raises(WorkerGoneError, match=r'worker 1 of 2 has ended .*-9.*--resume'):
        leader.ranks.blame(lost.value)


def test_members_are_ended_when_the_leader_fails_inside_an_update(two, monkeypatch):
    """A second Ctrl-C, or too little memory: they wait for its gradients, and for no order."""
    _, leader, written = two
    leader.update(batch_of(16, 0), batch_of(8, 1), 0.9)
    team = leader.ranks

    def interrupted(batch):
        raise KeyboardInterrupt

    monkeypatch.setattr(leader, '_actor_update', interrupted)
    with pytest.raises(KeyboardInterrupt):
        leader.update(batch_of(16, 2), batch_of(8, 3), 0.9)
    team.close()
    assert [member.returncode for member in team._members] == [-9]
    assert not written.exists()
    team.close = lambda: None


def test_a_stopped_run_of_two_processes_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch):
    make_replay(tmp_path / 'whole/train/replay')
    (tmp_path / 'whole/store').mkdir()
    steps = {
        'sft': SftConfig(head_steps=2, head_seconds=0),
        'offline': OfflineConfig(steps=4, seconds=0),
    }
    shutil.copytree(tmp_path / 'whole', tmp_path / 'stopped')
    run(config_of(tmp_path / 'whole', **steps))
    update = TrainingRun._update

    def stop_at_two(self, stage, data, clones, tau_base, clock):
        update(self, stage, data, clones, tau_base, clock)
        if (stage, clock.done) == ('offline', 2):
            self.stopping.set()

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(TrainingRun, '_update', stop_at_two)
        run(config_of(tmp_path / 'stopped', **steps))
    run(config_of(tmp_path / 'stopped', resume=True, **steps))
    for file in ('learner.safetensors', 'policy.safetensors'):
        whole, stopped = (
            safetensors.torch.load_file(tmp_path / name / 'train/checkpoints/offline' / file)
            for name in ('whole', 'stopped')
        )
        for name, tensor in whole.items():
            torch.testing.assert_close(stopped[name], tensor, rtol=1e-6, atol=1e-6, msg=name)


def run(config: TrainConfig) -> None:
    training = TrainingRun(config, None)
    try:
        training.execute()
    finally:
        training.close()


def test_a_batch_survives_the_way_to_a_member():
    batch = batch_of(6, 0)
    back = _unpacked(_packed(batch), _widths(batch))
    for field in fields(TensorBatch):
        assert torch.equal(getattr(back, field.name), getattr(batch, field.name)), field.name


def test_a_member_gets_the_whole_configuration(tmp_path):
    config = config_of(tmp_path, tasks=('restock', 'correct'), seed=7)
    found = tyro.cli(TrainConfig, args=arguments(config), config=(tyro.conf.FlagConversionOff,))
    assert found == config


def test_what_cannot_be_divided_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r'rl\.batch_size is 16: .* multiple of num_workers, 3'):
        Team(config_of(tmp_path, num_workers=3))
