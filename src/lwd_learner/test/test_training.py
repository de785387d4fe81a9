"""The learner's promises: what each algorithm may change, nothing learned from padding,
checkpoints, resume, status.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from lwd_policy_node.policy import Policy
from lwd_policy_node.policy.critic import Critic

sys.path.insert(0, str(Path(__file__).parent))
from lwd_learner.algorithms import qam
from lwd_learner.algorithms.qam_config import QamConfig
from lwd_learner.evaluation import Evaluator
from lwd_learner.replay import Replay, Sampler, SamplerConfig, successful
from lwd_learner.training import run as run_module
from lwd_learner.training import sft_stage, stage_evaluation
from lwd_learner.training.checkpoint import (
    CheckpointError,
    Progress,
    latest_checkpoint,
    load_learner,
    load_progress,
    save_checkpoint,
)
from lwd_learner.training.config import RlConfig, record
from lwd_learner.training.critic import load_critic
from lwd_learner.training.data import StageData
from lwd_learner.training.features import FeatureCache
from lwd_learner.training.fleet_figures import success_by_version
from lwd_learner.training.learner import Learner
from lwd_learner.training.new_policy import new_policy
from lwd_learner.training.optimisation import Step
from lwd_learner.training.run import Stopped, TrainingRun
from lwd_learner.training.sft_stage import LabelScale, fit_statistics, shift_images
from replay_of_noise import PROFILE, make_replay
from small_learner import SMALL, small_config, small_world


@pytest.fixture
def parts(tmp_path):
    """(learner factory, stage data) over a small replay."""
    replay, policy, features = small_world(tmp_path)

    def learner(**changes: object) -> Learner:
        return Learner(copy.deepcopy(policy), small_config(tmp_path, **changes))

    data = StageData(replay, policy, features, small_config(tmp_path), 1, 0.5, 0)
    return learner, data


def state_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(before: dict[str, torch.Tensor], module: torch.nn.Module) -> bool:
    return all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize(
    ('changes', 'reference_moves', 'q_moves', 'edit_moves'),
    [
        ({'algorithm': 'lwd', 'reference': 'refreshed'}, True, True, True),
        ({'algorithm': 'lwd', 'reference': 'frozen'}, False, True, True),
        ({'algorithm': 'iql'}, True, True, True),
        ({'algorithm': 'refresh_only'}, True, True, False),
        ({'algorithm': 'filtered_bc'}, True, False, False),
        ({'algorithm': 'hg_dagger'}, True, False, False),
        ({'algorithm': 'sft'}, False, False, False),
    ],
)
def test_each_algorithm_changes_what_it_should(
    parts, changes, reference_moves, q_moves, edit_moves
):
    make, data = parts
    learner = make(**changes)
    before = {
        name: state_of(module)
        for name, module in (
            ('encoder', learner.policy.encoder),
            ('expert', learner.policy.expert),
            ('edit', learner.policy.edit),
            ('critic', learner.critic),
        )
    }
    for _ in range(3):
        info = learner.update(data.batch(), data.clone_batch(), 0.9)
    assert same(before['encoder'], learner.policy.encoder)
    assert same(before['expert'], learner.policy.expert) is not reference_moves
    assert same(before['critic'], learner.critic) is not q_moves
    assert same(before['edit'], learner.policy.edit) is not edit_moves
    assert all(np.isfinite(value) for value in info.values())


@pytest.mark.parametrize(
    ('changes', 'offline', 'online'),
    [
        ({'algorithm': 'lwd', 'reference': 'frozen'}, False, False),
        ({'algorithm': 'lwd', 'reference': 'refreshed'}, False, True),
        ({'algorithm': 'lwd', 'reference': 'refreshed_offline'}, True, True),
        ({'algorithm': 'refresh_only', 'reference': 'refreshed'}, False, True),
        ({'algorithm': 'refresh_only', 'reference': 'refreshed_offline'}, True, True),
        ({'algorithm': 'filtered_bc', 'reference': 'frozen'}, True, True),  # it has no reference
        ({'algorithm': 'sft', 'reference': 'refreshed_offline'}, False, False),
    ],
)
def test_in_which_stages_the_flow_goes_on_cloning(tmp_path, changes, offline, online):
    config = small_config(tmp_path, **changes)
    assert (config.clones_offline, config.clones_online) == (offline, online)


def test_the_actor_sees_offline_and_online_states_alike(parts, monkeypatch):
    make, data = parts
    learner, seen, edit_loss = make(), [], qam.edit_loss

    def look_on(*arguments):
        seen.append(arguments[-1])
        return edit_loss(*arguments)

    monkeypatch.setattr(qam, 'edit_loss', look_on)
    batch = data.batch()
    learner.update(batch, None, 0.9)
    rows = [int((batch.chunk == chunk).all(1).nonzero()[0]) for chunk in seen[0]]
    assert len(rows) == 4
    assert (data._drawn.dataset[rows] == 1).sum() == 2


def test_euler_steps_are_taken_in_velocities(parts, monkeypatch):
    make, data = parts
    flows, edit_loss = [], qam.edit_loss

    def look_on(edit, base, *rest):
        flows.append((edit, base))
        return edit_loss(edit, base, *rest)

    monkeypatch.setattr(qam, 'edit_loss', look_on)
    batch = data.batch()
    for discretisation in ('ancestral', 'euler'):
        learner = make(qam=QamConfig(discretisation=discretisation))
        torch.manual_seed(1)
        for parameter in learner.policy.edit.parameters():
            parameter.data.normal_(std=0.1)
        learner.optimisers['edit'].param_groups[0]['lr'] = 0.0
        learner._actor_update(batch)
    (clean_edit, clean), (changed, velocity) = flows
    x, t = torch.randn(4, SMALL.chunk_dim), torch.tensor([0.3])
    torch.testing.assert_close(x + 0.7 * velocity(x, t), clean(x, t), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(0.7 * changed(x, t), clean_edit(x, t), rtol=1e-3, atol=1e-3)
    assert clean_edit(x, t).abs().max() > 0.01


def test_recap_acts_as_sft_trained_it_until_it_has_learned_advantages(parts, tmp_path):
    _, data = parts
    config = small_config(tmp_path, algorithm='recap')
    assert not new_policy(config, PROFILE, 6).advantage_words.any()
    policy = Policy(dataclasses.replace(SMALL, edit_hidden=0, guidance=config.recap.beta))
    learner = Learner(policy, config)
    learner.update(data.batch(), None, 0.9)
    assert not policy.advantage_words.any()
    learner.update(data.batch(), data.clone_batch(), 0.9)
    assert policy.advantage_words.any()


@pytest.mark.parametrize('discretisation', ['ancestral', 'euler'])
def test_a_policy_acts_at_the_flow_steps_that_its_edit_is_trained_at(discretisation, tmp_path):
    """An edit asked at other times answers anything."""
    config = small_config(tmp_path, qam=QamConfig(steps=6, discretisation=discretisation))
    shape = new_policy(config, PROFILE, 6).config
    assert (shape.flow_steps, shape.edit_last) == (6, discretisation == 'euler')


@pytest.mark.parametrize('stage', ['sft', 'offline'])
def test_a_policy_of_other_flow_steps_is_resumed_at_those_of_its_training(stage, tmp_path, caplog):
    """One made before a policy said of its steps what it was trained with, or resumed with --allow-drift."""
    caplog.set_level('INFO')
    make_replay(tmp_path / 'train' / 'replay')
    (tmp_path / 'store').mkdir()
    config = small_config(tmp_path, qam=QamConfig(steps=6, discretisation='euler'))
    policy = Policy(SMALL)
    assert (policy.config.flow_steps, policy.config.edit_last) == (10, False)
    learner = Learner(policy, config) if stage != 'sft' else None
    save_checkpoint(config.run_dir, Progress(stage=stage), policy, learner, 'old')
    again = TrainingRun(dataclasses.replace(config, resume=True, allow_drift=True), None)
    again._restore(again._found)
    again.close()
    assert (again.policy.config.flow_steps, again.policy.config.edit_last) == (6, True)
    assert 'flow_steps was 10, is 6; edit_last was False, is True' in caplog.text
    if stage != 'sft':
        assert again.learner.policy is again.policy


def test_recap_clones_everything_and_tells_the_flow_which_chunks_were_better(parts, tmp_path):
    _, data = parts
    config = small_config(tmp_path, algorithm='recap')
    policy = Policy(dataclasses.replace(SMALL, edit_hidden=0, guidance=config.recap.beta))
    policy.advantage_words.normal_()
    learner = Learner(policy, config)
    before = state_of(learner.policy.expert)
    info = learner.update(data.batch(), data.clone_batch(), 0.6)
    assert not same(before, learner.policy.expert)
    assert 0 < info['recap/positive_share'] <= 1


def test_an_action_edit_is_trained_acts_and_is_resumed(parts, tmp_path):
    """QAM-E: what acts begins as the flow; the edit climbs Q within its scale, and a checkpoint holds it."""
    _, data = parts
    config = small_config(tmp_path, qam=QamConfig(action_edit=0.3))
    policy = Policy(dataclasses.replace(SMALL, action_edit=0.3))
    batch, clone = data.batch(), data.clone_batch()
    learner = Learner(policy, config)
    noise = torch.randn(16, SMALL.chunk_dim)
    raw = batch.state

    def acts(of: Policy, edits: bool = True) -> torch.Tensor:
        kept, of.action_edit = of.action_edit, of.action_edit if edits else None
        chunk = of.sample(batch.features, batch.text, raw, noise).detach()
        of.action_edit = kept
        return chunk

    torch.testing.assert_close(acts(policy), acts(policy, edits=False))
    for _ in range(3):
        info = learner.update(batch, clone, 0.9)
    assert info['action_edit/alpha'] > 0
    change = (acts(policy) - acts(policy, edits=False)).abs()
    assert 0 < change.max() <= 0.3
    folder = save_checkpoint(tmp_path / 'train', Progress(), policy, learner, 'step_3')
    restored = Learner(Policy.load(folder / 'policy.safetensors'), config)
    load_learner(folder, restored)
    assert restored.log_alpha == learner.log_alpha
    expected = learner.update(batch, clone, 0.9)
    assert restored.update(batch, clone, 0.9) == pytest.approx(expected, rel=1e-5)


def test_an_update_is_undone_whole_when_its_last_network_fails(parts):
    """V, Q, averages, reference and all Adam states are as before; the skip is counted and says which network."""
    make, data = parts
    learner = make()
    learner.update(data.batch(), data.clone_batch(), 0.9)

    def everything() -> list[torch.Tensor]:
        modules = [*learner.modules().values(), learner.policy]
        tensors = [t for module in modules for t in module.state_dict().values()]
        for optimiser in learner.optimisers.values():
            tensors += [v for state in optimiser.state.values() for v in state.values()]
        return [tensor.clone() for tensor in tensors]

    before = everything()
    actor_step = learner.steps['edit']
    learner.steps['edit'] = lambda _: False
    assert learner.update(data.batch(), data.clone_batch(), 0.9) == {'skipped/edit': 1.0}
    assert learner.skipped == 1
    assert all(torch.equal(a, b) for a, b in zip(before, everything(), strict=True))
    learner.steps['edit'] = actor_step
    learner.update(data.batch(), data.clone_batch(), 0.9)
    assert learner.skipped == 1
    assert not all(torch.equal(a, b) for a, b in zip(before, everything(), strict=True))


def test_a_batch_that_is_not_finite_is_skipped_before_anything_was_learned(parts):
    make, data = parts
    learner = make()
    before = state_of(learner.critic)
    bad = dataclasses.replace(data.batch(), reward=torch.full((16,), float('nan')))
    assert learner.update(bad, data.clone_batch(), 0.9) == {'skipped/critic': 1.0}
    assert same(before, learner.critic)
    assert not any(optimiser.state for optimiser in learner.optimisers.values())


def test_an_update_without_an_error_of_q_does_not_keep_that_of_another_batch(parts):
    """Else an adaptive mix would take it for the losses of other transitions."""
    make, data = parts
    learner = make()
    learner.update(data.batch(), None, 0.9)
    assert learner.q_error.shape == (16,)
    learner.steps['critic'] = lambda _: False
    assert learner.update(data.batch(), None, 0.9) == {'skipped/critic': 1.0}
    assert learner.q_error is None


def test_bfloat16_products_give_nearly_the_same_losses(parts):
    make, data = parts
    batch, clone = data.batch(), data.clone_batch()
    exact = make().update(batch, clone, 0.9)
    low = make(precision='bfloat16').update(batch, clone, 0.9)
    for name in ('value/loss', 'critic/loss', 'clone/loss', 'actor/loss'):
        assert low[name] == pytest.approx(exact[name], rel=0.1, abs=1e-2), name


def test_a_gpu_that_is_not_there_is_named(parts):
    make, _ = parts
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match='no GPU'):
            make(device='cuda')
    with pytest.raises(ValueError, match='for a GPU'):
        make(compile=True)


def test_cosine_rates_fall_over_a_stage_and_constant_ones_do_not(parts):
    make, data = parts
    for schedule, expected in (('constant', 1.0), ('cosine', 0.02)):
        learner = make(
            rl=RlConfig(batch_size=8, critic_hidden=16, clone_batch_size=8, schedule=schedule)
        )
        learner.update(data.batch(), None, 0.6, progress=1.0)
        found = learner.optimisers['critic'].param_groups[0]['lr']
        assert found == pytest.approx(expected * learner.config.rl.critic_lr)


def test_a_non_finite_loss_changes_nothing_and_is_counted():
    layer = torch.nn.Linear(2, 1)
    step = Step(torch.optim.Adam(layer.parameters(), lr=0.1), list(layer.parameters()), 1.0)
    before = state_of(layer)
    assert not step(layer(torch.tensor([[float('nan'), 1.0]])).sum())
    assert not step(
        (layer(torch.zeros(1, 2)).sum() * 0.0).sqrt()
    )  # finite loss, infinite gradient
    assert same(before, layer)
    assert step.skipped == 2
    assert step(layer(torch.ones(1, 2)).sum())
    assert not same(before, layer)


def test_q_does_not_see_steps_that_were_not_executed():
    torch.manual_seed(0)
    critic = Critic(SMALL, 16, 2, 201)
    readout = torch.randn(1, 16)
    chunk = torch.randn(1, SMALL.chunk_dim)
    steps = torch.ones(1, 16, dtype=torch.bool)
    steps[:, 5:] = False
    other = chunk.clone()
    other[:, 5 * 16 :] += 3.0
    torch.testing.assert_close(critic.q(readout, chunk, steps), critic.q(readout, other, steps))
    other[:, 0] += 3.0
    assert (critic.q(readout, chunk, steps) - critic.q(readout, other, steps)).abs().max() > 1e-4


def test_cached_features_are_the_encoders_and_images_are_decoded_once(tmp_path, monkeypatch):
    make_replay(tmp_path / 'replay')
    replay = Replay.open(tmp_path / 'replay')
    policy = Policy(SMALL)
    features = FeatureCache(replay, policy)
    rows = replay.all_image_rows()
    taken = features.take(rows)
    again = FeatureCache(replay, policy)
    torch.testing.assert_close(again.take(rows[3:5]), taken[3:5], atol=1e-5, rtol=1e-4)
    monkeypatch.setattr(replay, 'images', lambda rows: pytest.fail('decoded twice'))
    torch.testing.assert_close(features.take(rows[::-1]), taken.flip(0))
    assert features.fill() == 0
    held = sum(len(stored) for stored in features._stored.values())
    assert (
        held == len(rows) < len(replay)
    )  # a row without an image of its own costs next to nothing


def test_features_do_not_depend_on_when_a_row_was_encoded_or_what_was_pruned(tmp_path):
    """To the last bit: else a resumed run, which encodes everything at once, would learn from other numbers."""
    make_replay(tmp_path / 'replay')
    replay = Replay.open(tmp_path / 'replay')
    policy = Policy(SMALL)
    whole = FeatureCache(replay, policy)
    whole.fill()
    rows = replay.all_image_rows()
    alone = FeatureCache(replay, policy)
    assert torch.equal(alone.take(rows[40:41]), whole.take(rows[40:41]))
    kept = replay.episodes('offline')[3]
    replay.prune([replay.episodes('offline')[0].episode_id])
    later = replay.global_rows('offline', np.arange(kept.start, kept.start + 1))
    assert torch.equal(FeatureCache(replay, policy).take(later), whole.take(later))


def test_statistics_of_a_large_replay_are_of_a_spread_sample(tmp_path, monkeypatch):
    """All rows are read at once, so there must be a bound; below it nothing is left out."""
    replay, policy, _ = small_world(tmp_path)
    all_of_it = policy.norm.state_mean.clone()
    sampler = Sampler(replay, SamplerConfig(horizon=SMALL.horizon), successful)
    starts = sampler.start_rows('offline')
    assert torch.equal(all_of_it, torch.from_numpy(sampler.read(starts).state).mean(0))
    asked, read = [], Sampler.read

    def look_on(self, rows):
        asked.append(rows)
        return read(self, rows)

    monkeypatch.setattr(Sampler, 'read', look_on)
    entries = 10 * SMALL.chunk_dim
    monkeypatch.setattr(sft_stage, 'STATISTICS_ENTRIES', entries, raising=False)
    fit_statistics(policy, replay, 0.99)
    (sample,) = asked
    assert len(np.unique(sample)) == 10 and set(sample) < set(starts)
    assert len(np.unique(read(sampler, sample).episode)) == 4  # every success has a say
    assert not torch.equal(policy.norm.state_mean, all_of_it)


def test_labels_that_are_missing_cost_nothing():
    scale = LabelScale(np.array([[0.0, 0.10], [0.04, 0.14]], np.float32))  # mean .02, spread .02 m
    known = np.array([[0.0, np.nan]], np.float32)
    loss = scale.loss(torch.tensor([[-1.0, 99.0]]), known)
    assert loss.item() == pytest.approx(0.0, abs=1e-10)


def test_image_shifts_move_pixels_and_keep_shape():
    images = np.zeros((2, 3, 8, 8, 3), np.uint8)
    images[:, :, 4, 4] = 255
    shifted = shift_images(images, 2, np.random.default_rng(0))
    assert shifted.shape == images.shape
    for sample in shifted.reshape(6, 8, 8, 3):
        (row, column), *rest = np.argwhere(sample[..., 0])
        assert not rest
        assert abs(row - 4) <= 2
        assert abs(column - 4) <= 2


def test_a_checkpoint_gives_the_same_next_update(parts, tmp_path):
    make, data = parts
    learner = make()
    for _ in range(3):
        learner.update(data.batch(), data.clone_batch(), 0.9)
    folder = save_checkpoint(
        tmp_path / 'train', Progress(stage='online', step=3), learner.policy, learner, 'step_3'
    )
    batch, clone = data.batch(), data.clone_batch()
    expected = learner.update(batch, clone, 0.9)
    restored = Learner(Policy.load(folder / 'policy.safetensors'), learner.config)
    load_learner(folder, restored)
    assert restored.update(batch, clone, 0.9) == pytest.approx(expected, rel=1e-5)
    assert restored.step == learner.step == 4
    loaded = load_critic(folder / 'learner.safetensors', SMALL)
    assert loaded.heads[0][0].in_features == learner.critic.heads[0][0].in_features


def test_a_run_goes_through_all_stages_and_publishes(tmp_path):
    make_replay(tmp_path / 'train' / 'replay')
    (tmp_path / 'store').mkdir()

    class Fleet:
        stages: list[str] = []  # noqa: RUF012

        def publish(self, policy_path, *, stage, step, replay_version=''):
            metadata = Policy.load(policy_path).metadata
            assert (metadata['lwd.stage'], metadata['lwd.step']) == (stage, str(step))
            self.stages.append(stage)
            return len(self.stages)

    fleet = Fleet()
    training = TrainingRun(small_config(tmp_path), fleet)
    training.execute()
    training.close()
    status = json.loads((tmp_path / 'train' / 'status.json').read_text())
    assert status['stage'] == 'done'
    assert status['version'] == len(fleet.stages) >= 3
    assert fleet.stages[:2] == ['sft', 'offline']
    assert set(fleet.stages[2:]) == {'online'}
    assert status['episodes'] == {'offline': 6, 'online': 4}
    assert status['success_by_version']['3'] == {'n': 4, 'k': 2, 'helped': 1}
    rows = [
        json.loads(line)
        for line in (tmp_path / 'train' / 'metrics.jsonl').read_text().splitlines()
    ]
    assert {row['stage'] for row in rows} >= {'sft', 'offline'}
    for stage in ('sft', 'offline', 'online', 'done'):
        policy = Policy.load(tmp_path / 'train' / 'checkpoints' / stage / 'policy.safetensors')
        assert policy.metadata['lwd.stage'] == ('online' if stage == 'done' else stage)


def test_a_policy_that_was_overtaken_is_not_published_by_a_resume(tmp_path):
    """The end of offline was not taken, a later version was, and SIGKILL came before another checkpoint."""
    make_replay(tmp_path / 'train' / 'replay')
    (tmp_path / 'store').mkdir()

    class Killed(BaseException):
        pass

    class Fleet:
        def __init__(self, killed_at: int) -> None:
            self.stages: list[str] = []
            self._killed_at = killed_at

        def publish(self, policy_path, *, stage, step, replay_version=''):
            if stage == 'offline':
                raise OSError('the bucket is away')
            self.stages.append(stage)
            if len(self.stages) == self._killed_at:
                raise Killed
            return len(self.stages)

    config = small_config(tmp_path, online_minutes=5.0)
    training = TrainingRun(config, Fleet(2))
    with pytest.raises(Killed):
        training.execute()
    training.close()
    assert latest_checkpoint(config.run_dir).name.startswith('step_')
    fleet = Fleet(1)
    again = TrainingRun(dataclasses.replace(config, resume=True), fleet)
    assert again.progress.owed == ''
    with pytest.raises(Killed):
        again.execute()
    again.close()
    assert fleet.stages == ['online']


def test_a_policy_that_no_place_took_is_still_owed(tmp_path):
    make_replay(tmp_path / 'train' / 'replay')
    (tmp_path / 'store').mkdir()

    class Away:
        def publish(self, policy_path, *, stage, step, replay_version=''):
            if stage == 'online':
                training.stopping.set()
            raise OSError('the bucket is away')

    training = TrainingRun(small_config(tmp_path, online_minutes=5.0), Away())
    with pytest.raises(Stopped):
        training.execute()
    training.close()
    assert load_progress(latest_checkpoint(tmp_path / 'train'))[0].owed == 'offline'


def test_a_store_that_hangs_does_not_take_the_time_of_training(tmp_path, monkeypatch):
    """Each look at it takes three minutes, of a clock of the test's own."""
    make_replay(tmp_path / 'train' / 'replay')
    (tmp_path / 'store').mkdir()
    config = small_config(tmp_path, online_minutes=5.0, publish=False, checkpoint_seconds=1e9)
    training = TrainingRun(config, None)
    now_s, done = [0.0], []

    class Clock:
        @staticmethod
        def monotonic():
            return now_s[0]

        @staticmethod
        def sleep(seconds):
            now_s[0] += seconds

    def look():
        if training.progress.stage == 'online':
            done.append('look')
            now_s[0] += 180.0
            training._ingest.trouble, training._ingest.away = 'no answer', True
        if done.count('look') == 3:
            training.stopping.set()
        return []

    def update(self, stage, data, clones, tau_base, clock):
        done.append(stage)
        now_s[0] += 10.0
        clock.done += 1

    monkeypatch.setattr(run_module, 'time', Clock)
    monkeypatch.setattr(training._ingest, 'poll', look)
    monkeypatch.setattr(TrainingRun, '_update', update)
    with pytest.raises(Stopped):
        training.execute()
    training.close()
    first, second, third = (i for i, what in enumerate(done) if what == 'look')
    for between in (done[first:second], done[second:third]):
        assert between.count('online') * 10.0 >= 2 * 180.0
    training._ingest.away = False  # an episode could not be read, the others were
    assert training._pause_s(180.0) == config.online.poll_seconds


def test_stages_that_their_time_cuts_short_are_reported(tmp_path, caplog):
    make_replay(tmp_path / 'train' / 'replay')
    (tmp_path / 'store').mkdir()
    config = small_config(tmp_path, online_minutes=0)
    config = dataclasses.replace(
        config,
        sft=dataclasses.replace(config.sft, head_steps=100_000, head_seconds=0.2),
        offline=dataclasses.replace(config.offline, steps=100_000, seconds=0.2),
    )
    training = TrainingRun(config, None)
    training.execute()
    training.close()
    status = json.loads((tmp_path / 'train' / 'status.json').read_text())
    for stage, flag in (('sft', '--sft.head-seconds'), ('offline', '--offline.seconds')):
        assert f'{stage} had ' in status['short'][stage]
        assert f'of 100000 steps when its 0.2 s were over: a busy machine? {flag} 0' in caplog.text


@pytest.mark.parametrize(('algorithm', 'best_of'), [('lwd', [1, 1, 8]), ('filtered_bc', [1, 1])])
def test_best_of_n_is_evaluated_where_a_q_was_learned(tmp_path, monkeypatch, algorithm, best_of):
    """Not after SFT, whose critic is as random as it began, and not for methods without values."""
    make_replay(tmp_path / 'train' / 'replay')
    (tmp_path / 'store').mkdir()
    asked = []

    class Asked(Evaluator):
        def submit(self, policy, *, critic=None, best_of=1, **_):
            assert policy.exists()
            assert best_of == 1 or critic.name == 'learner.safetensors'
            asked.append(best_of)
            return []

    monkeypatch.setattr(stage_evaluation, 'Evaluator', Asked)
    config = small_config(
        tmp_path, algorithm=algorithm, online_minutes=0, eval_episodes=2, eval_best_of=8
    )
    training = TrainingRun(config, None)
    training.execute()
    training.close()
    assert asked == best_of
    names = ['sft', 'offline', 'offline, best of 8']
    assert list(training.progress.evaluations) == names[: len(best_of)]


def test_a_policy_that_chooses_takes_the_critic_along_once_it_has_learned(tmp_path):
    make_replay(tmp_path / 'train' / 'replay')
    (tmp_path / 'store').mkdir()
    training = TrainingRun(small_config(tmp_path, best_of=4, online_minutes=0), None)
    training.execute()
    training.close()
    checkpoints = tmp_path / 'train' / 'checkpoints'
    before, after = (
        Policy.load(checkpoints / s / 'policy.safetensors') for s in ('sft', 'offline')
    )
    assert (float(before.critic_trained), float(after.critic_trained)) == (0.0, 1.0)
    shipped = load_critic(checkpoints / 'offline' / 'learner.safetensors', after.config)
    assert same(shipped.state_dict(), after.critic)
    assert not same(shipped.state_dict(), before.critic)


def test_to_choose_without_a_q_is_refused_before_anything_is_done(tmp_path):
    for changes, why in (
        ({'best_of': 4, 'algorithm': 'filtered_bc'}, 'filtered_bc learns no Q to choose by'),
        ({'best_of': 0}, 'best_of is 0'),
    ):
        with pytest.raises(ValueError, match=why):
            TrainingRun(small_config(tmp_path, **changes), None)
    assert not (tmp_path / 'train').exists()


def test_a_stopped_run_saves_and_resume_does_not_repeat_what_is_done(tmp_path, monkeypatch):
    make_replay(tmp_path / 'train' / 'replay')
    (tmp_path / 'store').mkdir()
    config = small_config(tmp_path, online_minutes=5.0)
    training = TrainingRun(config, None)
    updates = []
    original = Learner.update

    def stop_after_six(self, *arguments):
        updates.append(1)
        if len(updates) == 6:
            training.stopping.set()
        return original(self, *arguments)

    monkeypatch.setattr(Learner, 'update', stop_after_six)
    with pytest.raises(Stopped):
        training.execute()
    training.close()
    with pytest.raises(CheckpointError, match='--resume'):
        TrainingRun(config, None)
    monkeypatch.setattr(
        run_module.sft_stage, 'train_images', lambda *_: pytest.fail('SFT was done already')
    )
    again = TrainingRun(
        dataclasses.replace(config, resume=True, allow_drift=True, online_minutes=0.02), None
    )
    assert again.progress.stage == 'online'
    assert again.progress.step == 6
    again.execute()
    again.close()
    assert latest_checkpoint(config.run_dir).name == 'done'


def test_an_online_stage_without_an_end_goes_on_until_it_is_stopped(tmp_path, monkeypatch):
    make_replay(tmp_path / 'train' / 'replay')
    (tmp_path / 'store').mkdir()
    config = small_config(tmp_path, online_minutes=math.inf)
    original, updates = Learner.update, []

    def stop_at_each_eighth(self, *arguments):
        updates.append(arguments[-1])
        if len(updates) % 8 == 0:
            training.stopping.set()
        return original(self, *arguments)

    monkeypatch.setattr(Learner, 'update', stop_at_each_eighth)
    for resume in (False, True):
        training = TrainingRun(dataclasses.replace(config, resume=resume), None)
        with pytest.raises(Stopped):
            training.execute()
        training.close()
    assert (training.progress.stage, training.progress.step) == ('online', 16)
    assert updates[-8:] == [0.0] * 8, 'how far the stage is, which rates follow'
    assert json.loads(json.dumps(record(config), allow_nan=False))['online_minutes'] == 'inf'


def test_success_by_version_counts_helped_episodes_apart(tmp_path):
    make_replay(tmp_path / 'replay')
    assert success_by_version(Replay.open(tmp_path / 'replay')) == {
        '3': {'n': 4, 'k': 2, 'helped': 1}
    }
