"""What a run says of itself: held-out AUC by episode, drift, sampler weights, progress with the time left."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))
from lwd_learner.replay import Sampler, SamplerConfig
from lwd_learner.training.config import (
    OfflineConfig,
    OnlineConfig,
    SftConfig,
    TrainConfig,
)
from lwd_learner.training.data import StageData
from lwd_learner.training.diagnostics import Diagnostics
from lwd_learner.training.held_out import HeldOut, auc, seen
from lwd_learner.training.learner import Learner
from lwd_learner.training.run import TrainingRun
from lwd_learner.training.terminal import PERIOD_S, Terminal
from replay_of_noise import make_replay
from small_learner import SMALL_RL, small_config, small_world
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def config_of(folder: Path, **changes: object) -> TrainConfig:
    rl = dataclasses.replace(SMALL_RL, held_out_every=2)
    return small_config(folder, **{'rl': rl} | changes)


@pytest.fixture
def world(tmp_path):
    """(replay, policy, features) of six offline and four online episodes."""
    return small_world(tmp_path)


def test_auc_is_the_share_of_pairs_in_the_right_order():
    won = np.array([True, True, False, False])
    assert auc(np.array([3.0, 2.0, 1.0, 0.0]), won) == 1.0
    assert auc(np.array([3.0, 1.0, 1.0, 0.0]), won) == 0.875
    assert auc(np.zeros(4), won) == 0.5
    assert np.isnan(auc(np.zeros(2), won[:2]))


def test_v_and_q_never_see_an_episode_that_is_held_out(world):
    replay, *_ = world
    sampler = Sampler(replay, SamplerConfig(512, online_share=0.5), seen(2))
    assert set((sampler.sample().episode % 2).tolist()) == {0}
    assert set((Sampler(replay, SamplerConfig(512), seen(0)).sample().episode % 2).tolist()) == {
        0,
        1,
    }


def test_the_held_out_auc_counts_episodes_not_transitions(world):
    """A critic whose Q is 1 where an episode succeeds, and one that is wrong about one long episode of five."""
    replay, policy, features = world
    held = HeldOut(replay, policy, features, gamma=0.99, every=2)
    facts = [(e, d) for d in ('offline', 'online') for e in replay.episodes(d)[1::2]]
    assert sum(e.outcome == 'success' for e, _ in facts) == 3

    class Told(HeldOut):
        def _q(self, critic, starts):
            rows = starts & ((1 << 40) - 1)
            name = 'online' if starts[0] >> 40 else 'offline'
            return replay.index(name).success.data[rows].astype(np.float32) * critic

    told = Told(replay, policy, features, gamma=0.99, every=2)
    good, bad = told.measure(1.0), told.measure(-1.0)
    assert good['held_out/episodes'] == good['seen/episodes'] == 5
    assert (good['held_out/auc_first_second'], good['held_out/auc_later']) == (1.0, 1.0)
    assert (bad['held_out/auc_first_second'], bad['held_out/auc_later']) == (0.0, 0.0)
    assert good['held_out/return_correlation'] > 0.9
    assert 0 < good['held_out/return_mean'] < 1
    learner = Learner(policy, config_of(Path('unused')))
    real = held.measure(learner.critic_ema)
    assert 0 <= real['held_out/auc_later'] <= 1


def test_measuring_writes_curves_and_histograms_and_changes_nothing(world, tmp_path):
    replay, policy, features = world
    config = config_of(tmp_path)
    config.run_dir.mkdir()
    learner = Learner(policy, config)
    data = StageData(replay, policy, features, config, 1, 0.5, 0)
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / 'board')) as board:
        diagnostics = Diagnostics(config, replay, policy, features, board)
        before = learner.generator.get_state().clone()
        first = diagnostics.measure(learner, 'offline', 0, 0)
        assert torch.equal(before, learner.generator.get_state())
        for _ in range(4):
            learner.update(data.batch(), data.clone_batch(), 0.6)
        later = diagnostics.measure(learner, 'offline', 4, 4)
    assert first['probe/action_drift'] == 0
    assert later['probe/action_drift'] > 0
    assert later['probe/q_gain'] != 0
    rows = [
        json.loads(line)
        for line in (config.run_dir / 'diagnostics.jsonl').read_text().splitlines()
    ]
    assert [row['step'] for row in rows] == [0, 4]
    events = EventAccumulator(str(tmp_path / 'board')).Reload()
    drawn = set(events.Tags()['histograms'])
    assert drawn == {
        f'offline/probe/{name}' for name in ('value_distribution', 'tau', 'entropy', 'q')
    }
    bins = events.Histograms('offline/probe/value_distribution')[0].histogram_value
    assert sum(bins.bucket) == pytest.approx(1, abs=1e-3)


def test_an_update_tells_adjoint_norms_and_batches_tell_their_weights(world, tmp_path):
    replay, policy, features = world
    config = config_of(tmp_path)
    data = StageData(replay, policy, features, config, 1, 0.5, 0)
    info = Learner(policy, config).update(data.batch(), data.clone_batch(), 0.9)
    norms = [info[f'adjoint/{i:02d}'] for i in range(11)]
    assert norms[10] == pytest.approx(info['actor/grad_q_norm'], rel=1e-5)
    assert info['actor/path_kl'] >= 0
    assert data.weights() == {
        'sampler/online': 0.5,
        'sampler/restock': 1.0,
        'sampler/restock_online': 0.5,
    }


def test_an_adaptive_share_follows_the_losses(world, tmp_path):
    replay, policy, features = world
    data = StageData(replay, policy, features, config_of(tmp_path), 1, 0.5, 0, adaptive=True)
    for _ in range(3):
        data.batch()
        online = data._drawn.dataset == 1
        data.report(np.where(online, 9.0, 0.0))
    data.batch()
    assert data.weights()['sampler/online'] == pytest.approx(0.8, abs=0.07)  # of 16


def test_the_terminal_shows_stage_loss_and_time_left():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with Terminal(console) as terminal:
        for step in range(1, 4):
            terminal.show('offline', step, 10, {'q': 0.25})
        terminal.show('offline', 10, 10, {'q': 0.5})
    shown = console.file.getvalue()
    assert 'offline' in shown
    assert 'q 0.5' in shown
    assert 'left' in shown


def test_the_terminal_knows_the_time_left_of_a_stage_whose_length_is_an_estimate():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with Terminal(console) as terminal:
        for step in range(1, 5):
            terminal.show('sft', step, 100 + step, {})
            time.sleep(PERIOD_S + 0.05)
    last = console.file.getvalue().rsplit('left', 1)[1]
    assert '0:00:' in last
    assert '-:--:--' not in last


def test_the_terminal_shows_a_stage_without_an_end():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with Terminal(console) as terminal:
        for step in range(1, 3):
            terminal.show('online', step, 0, {'q': 0.25})
            time.sleep(PERIOD_S + 0.05)
    shown = console.file.getvalue()
    assert '2/?' in shown and '2/2' not in shown


@pytest.mark.parametrize(
    ('flags', 'seen_in_metrics'),
    [
        ('--algorithm iql', None),
        ('--divl.statistic expectile', None),
        ('--divl.statistic constant', 'value/tau_mean'),
        ('--divl.statistic adaptive', 'value/tau_mean'),
        ('--offline.n-step 1', None),
        ('--offline.n-step 10', None),
        ('--qam.path current', 'actor/path_kl'),
        ('--qam.path reference', 'actor/path_kl'),
        ('--qam.path replay', 'actor/path_kl'),
        ('--qam.temperature 2.0', 'actor/temperature'),
        ('--qam.trust-region dual', 'actor/temperature'),
        ('--qam.discretisation euler', 'actor/adjoint_growth'),
        ('--online.adaptive-share', None),
        ('--qam.action-edit 0.2', 'action_edit/entropy_per_entry'),
    ],
)
def test_every_ablation_is_a_flag_of_train(tmp_path, flags, seen_in_metrics):
    import tyro

    make_replay(tmp_path / 'train' / 'replay')
    (tmp_path / 'store').mkdir()
    base = config_of(
        tmp_path,
        eval_episodes=0,
        online_minutes=0,
        sft=SftConfig(head_steps=1, head_seconds=0),
        offline=OfflineConfig(steps=2, seconds=0),
        online=OnlineConfig(nice=0),
        threads=1,
        metrics_seconds=0,
    )
    config = tyro.cli(TrainConfig, default=base, args=flags.split())
    assert config != base or 'adaptive' in flags or 'current' in flags
    training = TrainingRun(config, None)
    training.execute()
    training.close()
    rows = (config.run_dir / 'metrics.jsonl').read_text().splitlines()
    last = json.loads(rows[-1])
    assert last['stage'] == 'offline'
    assert last['skipped'] == 0
    if seen_in_metrics:
        assert np.isfinite(last[seen_in_metrics])
    if 'temperature 2' in flags:
        assert last['actor/temperature'] == 2.0
    assert ('value/tau_mean' in last) is not ('expectile' in flags or 'iql' in flags)
