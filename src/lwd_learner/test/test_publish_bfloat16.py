"""Matrices at half the bytes: what is published, what a robot makes of it, and what it costs in accuracy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from lwd_learner.publish.archive import Archive, VersionCounter
from lwd_learner.publish.bfloat16 import write_bfloat16
from lwd_learner.publish.releases import Releases
from lwd_policy_node.policy import Policy, preset
from lwd_policy_node.profile import load_profile
from lwd_policy_node.weights import WeightsRefused, ensure_key_pair, load_private_key
from lwd_policy_node.weights.checks import check_file, file_sha256

RANGE = 0.02  # rad: a hundredth of what the joints of the chunk move through


def test_matrices_are_rounded_as_torch_rounds_them_and_the_rest_stays(tmp_path: Path) -> None:
    """Ties to even, infinities and NaN kept for the finite check to find, vectors and integers untouched."""
    torch.manual_seed(0)
    special = torch.tensor(
        [[1.0 + 2**-8, 1.0 + 3 * 2**-8, torch.inf, -torch.inf, torch.nan, 3e38]]
    )
    tensors = {
        'matrix': torch.randn(300, 70),
        'special': special,
        'vector': torch.randn(40),
        'text.embeddings': torch.randn(2, 8),
        'count': torch.arange(6).reshape(2, 3),
    }
    source, target = tmp_path / 'whole.safetensors', tmp_path / 'half.safetensors'
    safetensors.torch.save_file(tensors, source, {'lwd.config_hash': 'c'})
    write_bfloat16(source, target)
    found = safetensors.torch.load_file(target)
    for name, tensor in tensors.items():
        wanted = tensor.to(torch.bfloat16) if name in ('matrix', 'special') else tensor
        assert found[name].dtype == wanted.dtype
        assert torch.equal(found[name].nan_to_num(), wanted.nan_to_num()), name
    assert found['special'].isnan().sum() == 1
    with safetensors.safe_open(target, 'pt') as file:
        assert file.metadata() == {'lwd.config_hash': 'c'}


@dataclass
class Seen:
    """An observation."""

    images: dict[str, np.ndarray]
    state: np.ndarray
    instruction: str = 'restock'
    stamp_ns: int = 0
    extra: dict[str, object] = field(default_factory=dict)


@pytest.mark.parametrize(
    'critic', [{}, {'best_of': 4, 'critic_hidden': 16, 'critic_heads': 2, 'critic_atoms': 11}]
)
def test_a_real_policy_at_half_the_bytes_acts_alike(tmp_path: Path, critic: dict) -> None:
    """The published file passes a robot's checks, is little more than half as large, and moves the arms the same."""
    torch.manual_seed(0)
    profile = load_profile('g1_laptop')
    policy = Policy(replace(preset('tiny', profile), **critic))
    policy.sentences.remember(['restock'], torch.randn(1, 384))
    path = tmp_path / 'policy.safetensors'
    policy.save(path)
    private = ensure_key_pair(tmp_path / 'keys').private_path
    archive = Archive(tmp_path / 'published')
    releases = Releases(
        archive,
        VersionCounter(private.with_suffix('.version')),
        load_private_key(private),
        precision='bfloat16',
    )
    version = releases.publish(path, stage='sft', step=0)
    half, manifest = archive.policy_path(version), archive.manifest(version)
    assert manifest.sha256 == file_sha256(half) and manifest.size_bytes < 0.6 * path.stat().st_size
    check_file(half, manifest, robot={'profile': 'g1_laptop'}, like=half, in_use=manifest.tensors)
    images = {c.name: np.full((64, 64, 3), 90, np.uint8) for c in profile.cameras}
    seen = Seen(images, np.zeros(len(profile.state_columns), np.float32))
    whole = Policy.load(path, threads=1).act(seen, seed=1)
    assert np.abs(Policy.load(half, threads=1).act(seen, seed=1) - whole).max() < RANGE
    assert not list(archive.folder.glob('staging-*'))


def test_a_value_that_only_bfloat16_cannot_hold_is_refused_at_home(tmp_path: Path) -> None:
    """A float32 above bfloat16's largest would become infinite: it is not published."""
    private = ensure_key_pair(tmp_path / 'keys').private_path
    releases = Releases(
        Archive(tmp_path / 'published'),
        VersionCounter(private.with_suffix('.version')),
        load_private_key(private),
        precision='bfloat16',
    )
    path = tmp_path / 'policy.safetensors'
    tensors = {'weight': torch.full((2, 2), torch.finfo(torch.float32).max)}
    safetensors.torch.save_file(tensors, path, {'lwd.config_hash': 'c'})
    with pytest.raises(WeightsRefused, match='tensor weight'):
        releases.publish(path, stage='sft', step=0)
