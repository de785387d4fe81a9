"""The policy as others rely on it: deterministic, batch equals single, files round-trip, odd input
is named.
"""

from __future__ import annotations

import dataclasses
import sys
from importlib import resources
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from lwd_policy_node.installation import InstallationError
from lwd_policy_node.policy import Policy, PolicyConfig, PolicyError, preset
from lwd_policy_node.policy.text import SentenceEncoder
from lwd_policy_node.profile import ProfileError, load_profile

PROFILE = load_profile('g1_laptop')
CONFIG = preset('tiny', PROFILE, label_dim=6)


@dataclasses.dataclass
class Obs:
    images: dict[str, np.ndarray]
    state: np.ndarray
    instruction: str = 'restock the red can'


def observation(seed: int = 0, instruction: str = 'restock the red can') -> Obs:
    rng = np.random.default_rng(seed)
    images = {name: rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for name in CONFIG.cameras}
    return Obs(images, rng.normal(size=40).astype(np.float32), instruction)


@pytest.fixture(params=['tiny', 'small'])
def policy(request) -> Policy:
    torch.manual_seed(0)
    made = Policy(preset(request.param, PROFILE, label_dim=6))
    made.sentences.remember(['restock the red can', 'restock the tea'], torch.randn(2, 384))
    rng = np.random.default_rng(3)
    made.norm.fit(rng.normal(size=(50, 40)), rng.normal(size=(50, 16, 16)), np.ones((50, 16)))
    return made


def test_a_chunk_has_the_profiles_shape_and_repeats_under_a_seed(policy):
    first = policy.act(observation(), seed=4)
    assert first.shape == (16, 16)
    assert first.dtype == np.float64
    np.testing.assert_array_equal(first, policy.act(observation(), seed=4))
    assert np.abs(first - policy.act(observation(), seed=5)).max() > 1e-4


def test_batch_agrees_with_single(policy):
    observations = [
        observation(i, 'restock the tea' if i % 2 else 'restock the red can') for i in range(5)
    ]
    batch = policy.act_batch(observations, range(5))
    for i, obs in enumerate(observations):
        np.testing.assert_allclose(batch[i], policy.act(obs, i), atol=1e-5)


def test_the_instruction_reaches_the_action(policy):
    red = policy.act(observation(1, 'restock the red can'), 0)
    tea = policy.act(observation(1, 'restock the tea'), 0)
    assert np.abs(red - tea).max() > 1e-3


def test_frozen_steps_are_kept_and_the_rest_continues_them(policy):
    obs = observation()
    free = policy.act(obs, 0)
    frozen = free[:3] + 0.2
    chunk = policy.act(obs, 0, frozen=frozen)
    np.testing.assert_allclose(chunk[:3], frozen, atol=1e-5)
    assert np.abs(chunk[3:] - free[3:]).max() > 1e-5


def test_chunks_are_relative_to_the_joints_and_absolute_for_grippers(policy):
    state = torch.randn(4, 40)
    action = torch.randn(4, 16, 16)
    torch.testing.assert_close(
        policy.norm.absolute(policy.norm.chunk(action, state), state), action
    )
    moved = state.clone()
    moved[:, list(PROFILE.action_columns_in_state())] += 0.5
    shifted = policy.norm.absolute(policy.norm.chunk(action, state), moved)
    torch.testing.assert_close(shifted[..., :14], action[..., :14] + 0.5)
    torch.testing.assert_close(shifted[..., 14:], action[..., 14:])


def test_save_and_load_give_the_same_actions_and_metadata(policy, tmp_path):
    path = tmp_path / 'policy.safetensors'
    policy.save(path, {'lwd.stage': 'sft', 'lwd.step': '12'})
    loaded = Policy.load(path)
    np.testing.assert_array_equal(policy.act(observation(), 1), loaded.act(observation(), 1))
    assert loaded.metadata['lwd.stage'] == 'sft'
    assert loaded.metadata['lwd.step'] == '12'
    assert loaded.config == policy.config
    assert Policy.config_hash_of(path) == policy.config_hash == loaded.config_hash


def test_config_hash_tells_shapes_apart():
    other = dataclasses.replace(CONFIG, hidden=256)
    assert other.sha256 != CONFIG.sha256
    assert PolicyConfig.from_json(CONFIG.to_json()) == CONFIG


def test_files_that_are_no_checkpoint_are_refused_by_name(tmp_path):
    path = tmp_path / 'noise.safetensors'
    path.write_bytes(b'not a checkpoint')
    with pytest.raises(PolicyError, match='noise'):
        Policy.load(path)
    with pytest.raises(PolicyError, match='noise'):
        Policy.config_hash_of(path)


def test_a_missing_camera_is_named(policy):
    obs = observation()
    del obs.images['hand_left']
    with pytest.raises(PolicyError, match='hand_left'):
        policy.act(obs, 0)


def test_the_edit_head_starts_at_zero_and_then_changes_the_chunk(policy):
    obs = observation()
    with_edit = policy.act(obs, 0)
    edit, policy.edit = policy.edit, None
    np.testing.assert_allclose(with_edit, policy.act(obs, 0), atol=1e-6)
    policy.edit = edit
    torch.nn.init.ones_(policy.edit.head.out.bias)
    assert np.abs(policy.act(obs, 0) - with_edit).max() > 0.1


def test_the_edit_leaves_the_last_step_to_the_reference(policy, monkeypatch):
    """QAM's ancestral steps train no edit there, and what stands there would go into the chunk in full."""
    assert policy.config.flow_steps == 10 and not policy.config.edit_last
    times = []

    def record(x, t, context):
        times.append(t.item())
        return torch.full_like(x, 10.0)

    monkeypatch.setattr(policy.edit.head, 'from_context', record)
    policy.act(observation(), 0)
    assert times == pytest.approx([i / 10 for i in range(9)])
    times.clear()
    object.__setattr__(policy, 'config', dataclasses.replace(policy.config, edit_last=True))
    policy.act(observation(), 0)
    assert times == pytest.approx([i / 10 for i in range(10)])


def test_sentences_come_from_the_packaged_encoder_without_network(policy):
    """Paraphrases lie closer than another object, and an embedding is remembered with the
    checkpoint.
    """
    same, paraphrase, other = policy.sentences.embed(
        ['put the red can on the shelf', 'place the red can onto the shelf', 'pour the green tea']
    )
    assert torch.cosine_similarity(same, paraphrase, dim=0) > torch.cosine_similarity(
        same, other, dim=0
    )
    assert 'pour the green tea' in policy.sentences.known[0]


@pytest.mark.parametrize('name', ['tiny', 'small', pytest.param('base', marks=pytest.mark.long)])
def test_every_preset_has_a_chunk_of_the_profile_and_a_flow_with_gradient(name):
    config = preset(name, PROFILE)
    torch.manual_seed(0)
    policy = Policy(config)
    features, text, state = (
        torch.randn(2, config.feature_dim),
        torch.randn(2, 384),
        torch.randn(2, 40),
    )
    prefix = policy.expert.encode(features, text, state)
    assert prefix.shape == (2, config.prefix_dim)
    context = policy.expert.head.c_in(prefix)
    x = torch.randn(3, 2, config.chunk_dim, requires_grad=True)
    t = torch.tensor([0.0, 0.5, 0.9]).view(3, 1, 1)
    many = policy.expert.head.from_context(x, t, context)
    one = policy.expert.head(x[1], t[1], prefix)
    torch.testing.assert_close(many[1], one, atol=1e-5, rtol=1e-4)
    many.square().sum().backward()
    assert x.grad is not None
    assert all(p.grad is not None for p in policy.expert.parameters())


def test_an_unknown_preset_is_refused_with_the_known_names():
    with pytest.raises(PolicyError, match='tiny, small, base'):
        preset('huge', PROFILE)


def test_a_robot_whose_cameras_differ_in_size_has_a_policy_that_sees_one_size():
    profile = load_profile('g1')
    config = preset('tiny', profile)
    assert config.image_size == (224, 224)
    images = {c.name: np.full((c.height, c.width, 3), 40, np.uint8) for c in profile.cameras}
    stacked = Policy(config)._stack(Obs(images, np.zeros(1, np.float32)))
    assert stacked.shape == (3, 224, 224, 3) and (stacked == 40).all()


def test_cameras_of_different_sizes_are_refused_with_what_to_do():
    profile = dataclasses.replace(load_profile('g1'), policy_image=None)
    with pytest.raises(ProfileError, match=r'g1: .*848, 480.*1280, 800.*policy_image'):
        preset('tiny', profile)


def test_a_policy_image_that_is_none_is_refused(tmp_path):
    text = (resources.files('lwd_policy_node.profile') / 'robots' / 'g1.yaml').read_text()
    path = tmp_path / 'mine.yaml'
    path.write_text(text.replace('height: 224', 'height: 0'))
    with pytest.raises(ProfileError, match='policy_image is 224x0'):
        load_profile(path)


def test_guidance_goes_from_the_plain_law_through_the_positive_one():
    """x1 = plain + beta (positive - plain): for one flow step the chunk itself is linear in beta."""
    torch.manual_seed(0)
    chunks = []
    weights = None
    for beta in (1.0, 2.0, 3.0):
        policy = Policy(dataclasses.replace(CONFIG, guidance=beta, flow_steps=1, edit_hidden=0))
        policy.load_state_dict(weights or policy.state_dict())
        policy.advantage_words[1] = 1.0
        weights = policy.state_dict()
        features, text = torch.ones(1, CONFIG.feature_dim), torch.ones(1, 384)
        noise = policy.start_noise([0])
        chunks.append(policy.sample(features, text, torch.zeros(1, 40), noise).detach())
    torch.testing.assert_close(chunks[2] - chunks[1], chunks[1] - chunks[0], atol=1e-4, rtol=1e-3)
    assert (chunks[1] - chunks[0]).abs().max() > 1e-3


def test_a_field_that_came_later_changes_no_digest_until_it_is_used():
    """Robots refuse weights whose digest is not their manifest's: checkpoints of the first release must stay good."""
    config = preset('tiny', PROFILE)
    assert 'action_edit' not in config.to_json()
    edited = dataclasses.replace(config, action_edit=0.2)
    assert edited.sha256 != config.sha256
    assert PolicyConfig.from_json(edited.to_json()) == edited
    assert PolicyConfig.from_json(config.to_json()) == config


@pytest.fixture
def choosing(policy) -> Policy:
    """The same policy with a critic, which has learned something, and four samples to a plan."""
    sizes = {'best_of': 4, 'critic_hidden': 16, 'critic_heads': 2, 'critic_atoms': 11}
    made = Policy(dataclasses.replace(policy.config, **sizes))
    missing, unexpected = made.load_state_dict(policy.state_dict(), strict=False)
    assert not unexpected and all(name.startswith('critic') for name in missing)
    made.sentences.remember(*policy.sentences.known)
    made.critic_trained.fill_(1.0)
    return made


def test_the_best_of_several_samples_is_acted_on(choosing, tmp_path):
    obs = observation()
    features, text, state = (part.expand(4, -1) for part in choosing.embed([obs]))
    with torch.inference_mode():
        chunks = choosing.sample(features, text, state, choosing.start_noise(range(28, 32)))
        readout = choosing.critic.readout(features, text, choosing.norm.state(state))
        q = choosing.critic.q(readout, chunks, torch.ones(4, 16, dtype=torch.bool)).amin(0)
    samples = choosing.norm.absolute(chunks, state).double().numpy()
    assert len(set(q.tolist())) == 4
    np.testing.assert_allclose(choosing.act(obs, seed=7), samples[q.argmax()], atol=1e-5)
    assert choosing.value == pytest.approx(q.max().item(), abs=1e-5)
    choosing.save(tmp_path / 'policy.safetensors')
    again = Policy.load(tmp_path / 'policy.safetensors')
    np.testing.assert_array_equal(again.act(obs, seed=7), choosing.act(obs, seed=7))


def test_several_observations_are_chosen_for_one_by_one(choosing):
    observations = [observation(i) for i in range(3)]
    frozen = [None, np.full((2, 16), 0.25), None]
    batch = choosing.act_batch(observations, range(3), frozen)
    for i, obs in enumerate(observations):
        np.testing.assert_allclose(batch[i], choosing.act(obs, i, frozen[i]), atol=1e-5)
    np.testing.assert_allclose(batch[1, :2], 0.25, atol=1e-5)


def test_a_critic_that_has_learned_nothing_chooses_nothing(policy, choosing):
    choosing.critic_trained.zero_()
    np.testing.assert_array_equal(choosing.act(observation(), 7), policy.act(observation(), 7))
    assert np.isnan(choosing.value)
    assert choosing.config_hash != policy.config_hash


def test_an_encoder_that_cannot_be_loaded_is_the_computers_fault(monkeypatch):
    """A library that is there and broken, or model files that are gone: named, and no failure of the weights."""
    broken = ModuleType('transformers')
    broken.utils = SimpleNamespace(logging=SimpleNamespace(disable_progress_bar=lambda: None))

    def gone(folder, **_):
        raise OSError(f"Can't load tokenizer for '{folder}'")

    monkeypatch.setitem(sys.modules, 'transformers', broken)
    monkeypatch.setitem(sys.modules, 'transformers.utils', broken.utils)
    encoder = SentenceEncoder()
    with pytest.raises(InstallationError, match='AutoModel'):
        encoder.embed(['water the plant'])
    broken.AutoModel = broken.AutoTokenizer = SimpleNamespace(from_pretrained=gone)
    with pytest.raises(PolicyError, match=r"Can't load tokenizer.*make setup"):
        encoder.embed(['water the plant'])
