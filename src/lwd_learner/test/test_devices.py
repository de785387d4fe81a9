"""Training on a device that is not the CPU, without one: `meta` tensors know their shape and device, and what mixes
them with the CPU's is refused. They hold no numbers, so whatever Python reads off them is a half here.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed.tensor  # with annotations of torch.Generator, which is replaced below
from lwd_learner.algorithms.qam_config import QamConfig
from lwd_learner.training import learner as learner_module
from lwd_learner.training import sft_stage
from lwd_learner.training.config import SftConfig
from lwd_learner.training.data import StageData
from lwd_learner.training.features import FeatureCache
from lwd_learner.training.learner import Learner
from lwd_policy_node.policy import Policy
from torch.fx.experimental import _config as fx_config

sys.path.append(str(Path(__file__).parent))  # tests are imported by path

from small_learner import SMALL, small_config, small_world

META = torch.device('meta')


@pytest.fixture
def numbers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let Python read numbers off meta tensors, and let them be drawn with a generator."""

    def read(name: str, found: Callable[[torch.Tensor], object]) -> None:
        real = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda t: found(t) if t.device == META else real(t)
        )

    read('item', lambda t: 0.5)
    read('__float__', lambda t: 0.5)
    read('__bool__', lambda t: True)
    read('tolist', lambda t: [0.5] * t.numel())
    for name in ('randn', 'rand'):
        real = getattr(torch, name)

        def draw(*shape: object, real=real, **how: object) -> torch.Tensor:
            if how.get('device') == META:
                how.pop('generator', None)
            return real(*shape, **how)

        monkeypatch.setattr(torch, name, draw)
    adam, generator = torch.optim.AdamW, torch.Generator

    class Generator(generator):
        def __new__(cls, device: object = None) -> Generator:
            return generator.__new__(cls)

    monkeypatch.setattr(torch, 'Generator', Generator)
    monkeypatch.setattr(torch.optim, 'AdamW', lambda *a, **k: adam(*a, **k | {'fused': None}))
    with fx_config.patch('meta_nonzero_assume_all_nonzero', True):
        yield


def test_meta_tensors_do_not_mix_with_the_cpu() -> None:
    with pytest.raises(RuntimeError, match='device'):
        torch.ones(3) + torch.ones(3, device=META)


def test_sft_keeps_to_its_device(tmp_path: Path, numbers: None) -> None:
    replay, policy, _ = small_world(tmp_path)
    features = FeatureCache(replay, Policy(SMALL))
    features.fill()
    config = SftConfig(steps=2, seconds=0, head_steps=2, head_seconds=0, batch_size=8)
    done: list[str] = []

    def report(cloning: sft_stage.Cloning, info: dict[str, float]) -> bool:
        done.append(cloning.part)
        return False

    cloning = sft_stage.images_cloning(policy, replay, config, 0, META)
    sft_stage.train_images(policy, replay, config, cloning, report)
    cloning = sft_stage.head_cloning(policy, replay, config, 0, META)
    sft_stage.train_head(policy, replay, features, config, cloning, report)
    assert done == ['images', 'images', 'head', 'head']
    trained = [*policy.encoder.parameters(), *policy.expert.parameters()]
    assert {p.device for p in trained} == {META}


@pytest.mark.parametrize(
    'changes',
    [
        {'algorithm': 'lwd'},
        {'algorithm': 'lwd', 'qam': QamConfig(action_edit=0.3)},
        {'algorithm': 'lwd', 'qam': QamConfig(path='replay', trust_region='dual')},
        {'algorithm': 'iql'},
        {'algorithm': 'recap'},
        {'algorithm': 'filtered_bc'},
    ],
)
def test_an_update_keeps_to_its_device(
    tmp_path: Path, numbers: None, monkeypatch: pytest.MonkeyPatch, changes: dict
) -> None:
    replay, *_ = small_world(tmp_path)
    config = small_config(tmp_path, **changes)
    shape = dataclasses.replace(SMALL, action_edit=config.qam.action_edit)
    if config.method.conditions:
        shape = dataclasses.replace(shape, edit_hidden=0, guidance=1.5)
    policy = Policy(shape)
    sft_stage.fit_statistics(policy, replay, 0.99)
    features = FeatureCache(replay, policy)
    features.fill()
    data = StageData(replay, policy, features, config, 1, 0.5, 0)
    monkeypatch.setattr(learner_module, 'device_of', lambda config, rank: META)
    learner = Learner(policy, config)
    for _ in range(2):
        learner.update(data.batch(), data.clone_batch(), 0.6)
    assert learner.skipped == 0
    held = [*learner.critic.parameters(), *learner.clone.parameters(), *policy.expert.parameters()]
    assert {p.device for p in held} == {META}
