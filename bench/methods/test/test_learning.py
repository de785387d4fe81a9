"""What a method trains: from SFT's policy, by train's parts, the same again from a checkpoint."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lwd_learner.look.values import statistic_of
from lwd_learner.replay import Replay
from lwd_learner.training.features import FeatureCache
from lwd_learner.training.sft_stage import fit_statistics
from lwd_policy_node.policy import Policy, preset

from bench.methods.config import CompareConfig
from bench.methods.entries import ENTRIES, Entry
from bench.methods.learning import Method, OfflineFeatures

sys.path.insert(0, str(Path(__file__).parents[3] / 'src/lwd_learner/test'))
from replay_of_noise import PROFILE, make_replay


@pytest.fixture(scope='module')
def buffer(tmp_path_factory):
    """(SFT policy's path, replay, its features); the replay has an online part."""
    folder = tmp_path_factory.mktemp('buffer')
    make_replay(folder / 'replay')
    replay = Replay.open(folder / 'replay')
    torch.manual_seed(0)
    policy = Policy(preset('tiny', PROFILE, label_dim=6, edit=False))
    fit_statistics(policy, replay, 0.99)
    policy.save(folder / 'sft.safetensors')
    return folder / 'sft.safetensors', replay, FeatureCache(replay, policy)


def method(name: str, buffer, folder: Path) -> Method:
    config = CompareConfig(folder=folder, offline_updates=2, round_updates=2, profile=PROFILE.name)
    return Method(config, ENTRIES[name], buffer[0], 0, folder)


def weights(policy: Policy) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in policy.state_dict().values()]


@pytest.mark.parametrize('name', ['filtered_bc', 'lwd', 'recap'])
def test_a_round_is_the_same_again_from_the_checkpoint_before_it(name, buffer, tmp_path):
    _, replay, features = buffer
    one = method(name, buffer, tmp_path)
    assert one.offline(replay, features)['skipped'] == 0
    one.save(0, replay)
    one.online(replay, OfflineFeatures(replay, one.policy, features), 1)
    other = method(name, buffer, tmp_path)
    other.restore(0)
    before = weights(other.policy)
    other.online(replay, OfflineFeatures(replay, other.policy, features), 1)
    after = weights(other.policy)
    assert all(torch.equal(a, b) for a, b in zip(weights(one.policy), after, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_every_method_starts_at_the_sft_policy(buffer, tmp_path):
    sft = Policy.load(buffer[0]).state_dict()
    for name in ('lwd', 'recap', 'hg_dagger'):
        mine = method(name, buffer, tmp_path / name).policy.state_dict()
        assert all(torch.equal(tensor, mine[key]) for key, tensor in sft.items())


def test_an_entry_may_edit_behind_the_flow(buffer, tmp_path):
    entry = Entry('lwd, action edit', 'lwd', {'qam.action_edit': 0.2})
    config = CompareConfig(folder=tmp_path, profile=PROFILE.name)
    of_entry = Method(config, entry, buffer[0], 0, tmp_path)
    assert of_entry.policy.action_edit is not None
    of_entry.save(0, buffer[1])
    policy = Policy.load(of_entry.checkpoint(0) / 'policy.safetensors')
    assert policy.metadata['lwd.stage'] == 'offline'


@pytest.mark.parametrize(('round_', 'stage'), [(0, 'offline'), (1, 'online')])
def test_a_checkpoint_says_how_v_is_read(round_, stage, buffer, tmp_path):
    """What `replay show --critic` needs of it."""
    of_entry = method('lwd', buffer, tmp_path)
    of_entry.save(round_, buffer[1])
    folder = of_entry.checkpoint(round_)
    assert Policy.load(folder / 'policy.safetensors').metadata['lwd.stage'] == stage
    tau = getattr(of_entry.settings, stage).tau_base
    assert statistic_of(folder) == replace(of_entry.settings.divl, tau_base=tau)


def test_a_policy_of_other_flow_steps_goes_on_at_those_of_its_training(buffer, tmp_path):
    entry = Entry('lwd, 6 steps', 'lwd', {'qam.steps': 6, 'qam.discretisation': 'euler'})
    config = CompareConfig(folder=tmp_path, profile=PROFILE.name)
    of_entry = Method(config, entry, buffer[0], 0, tmp_path)
    as_trained = of_entry.policy.config
    of_entry.policy.config = replace(as_trained, flow_steps=10, edit_last=False)
    of_entry.save(0, buffer[1])
    of_entry.restore(0)
    assert of_entry.policy.config == of_entry.learner.policy.config == as_trained


def test_features_of_the_buffer_are_taken_over_and_new_ones_encoded(buffer):
    _, replay, features = buffer
    policy = Policy.load(buffer[0])
    mine = OfflineFeatures(replay, policy, features)
    rows = replay.all_image_rows()
    assert torch.equal(mine.take(rows), features.take(rows))
    torch.manual_seed(1)
    with pytest.raises(ValueError, match='do not fit'):
        OfflineFeatures(replay, Policy(policy.config), features)
