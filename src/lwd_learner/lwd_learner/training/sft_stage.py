"""Stage 1: the encoder and the action expert from successful demonstrations.

The auxiliary loss on object positions (simulator labels, on all demonstrations) stands in for the
vision-language pre-training that a small CNN from scratch does not have. Afterwards the encoder is
frozen for good, features are cached, and the expert alone is trained on them for a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lwd_policy_node.policy import Policy
from lwd_policy_node.policy.normalisation import image_tensor
from torch import Tensor
from torch.nn import functional

from lwd_learner.algorithms.sft import CleanHead, flow_matching_loss
from lwd_learner.replay import Replay, Sampler, SamplerConfig, everything, successful
from lwd_learner.training.batches import sentences_of, to_tensors
from lwd_learner.training.config import SftConfig
from lwd_learner.training.features import FeatureCache
from lwd_learner.training.optimisation import Averaged, Step, set_cosine

Report = Callable[[int, int, dict[str, float]], bool]
"""(step, total, info) -> True to stop."""


LARGEST_SCALE_M = 0.05
"""Largest unit of a label's error: which side of the table an item is on must not drown where on it."""

HUBER = 0.2
"""Where a label's error stops to count quadratically: what is found at all is to be found precisely."""


class LabelScale:
    """Mean and scale of the simulator's labels; rows without labels (NaN) are left out of the
    loss.
    """

    def __init__(self, labels: npt.NDArray[Any]) -> None:
        """Take the statistics of labels (N, L)."""
        if labels.shape[0] and labels.shape[1] and np.isfinite(labels).any():
            self.mean = torch.from_numpy(np.nan_to_num(np.nanmean(labels, 0)).astype(np.float32))
            spread = np.nan_to_num(np.nanstd(labels, 0), nan=1.0).astype(np.float32)
            self.scale = torch.from_numpy(spread).clamp(0.01, LARGEST_SCALE_M)
        else:
            self.mean, self.scale = torch.zeros(labels.shape[1]), torch.ones(labels.shape[1])

    def loss(self, predicted: Tensor, labels: npt.NDArray[Any]) -> Tensor:
        """Huber loss in units of the labels' spread."""
        if labels.shape[1] == 0:
            return predicted.sum() * 0.0
        target = (torch.from_numpy(labels) - self.mean) / self.scale
        known = torch.isfinite(target)
        error = torch.where(known, predicted - target.nan_to_num(), 0.0)
        huber = functional.huber_loss(error, torch.zeros_like(error), reduction='sum', delta=HUBER)
        return huber / (HUBER * known.sum().clamp(min=1))


def shift_images(
    images: npt.NDArray[Any], most: int, rng: np.random.Generator
) -> npt.NDArray[Any]:
    """Shift every camera of every sample by up to `most` pixels, edges repeated: (B, C, h, w, 3)
    -> the same.
    """
    if most == 0:
        return images
    batch, cameras, height, width, _ = images.shape
    down, right = rng.integers(-most, most + 1, (2, batch, cameras, 1))
    rows = np.clip(np.arange(height) + down, 0, height - 1)
    columns = np.clip(np.arange(width) + right, 0, width - 1)
    b = np.arange(batch)[:, None, None, None]
    c = np.arange(cameras)[None, :, None, None]
    shifted: npt.NDArray[np.uint8] = images[b, c, rows[..., :, None], columns[..., None, :]]
    return shifted


def _head(policy: Policy, context: Tensor) -> CleanHead:
    """The expert's flow head with its context closed over."""
    return lambda x, t: policy.expert.head.from_context(x, t, context)


def fit_statistics(policy: Policy, replay: Replay, gamma: float) -> None:
    """Set the policy's normalisation from every successful offline transition."""
    config = SamplerConfig(horizon=policy.config.horizon, gamma=gamma)
    sampler = Sampler(replay, config, successful)
    batch = sampler.read(sampler.start_rows('offline'))
    policy.norm.fit(batch.state, batch.action, batch.mask)


def train_images(
    policy: Policy, replay: Replay, config: SftConfig, seed: int, report: Report
) -> None:
    """Train encoder and expert together on images of offline episodes; only successes are cloned."""
    sampler_config = SamplerConfig(
        batch_size=config.batch_size, horizon=policy.config.horizon, seed=seed
    )
    sampler = Sampler(replay, sampler_config, everything)
    scale = LabelScale(replay.index('offline').label.data)
    parameters = [*policy.encoder.parameters(), *policy.expert.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)
    step = Step(optimiser, parameters, 1.0)
    averaged = Averaged([policy.encoder, policy.expert])
    generator = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng(seed)
    began, done = time.monotonic(), 0
    while True:
        progress = max(done / config.steps, (time.monotonic() - began) / config.seconds)
        if progress >= 1.0:
            break
        set_cosine(optimiser, config.lr, progress, warmup=0.03)
        batch = sampler.sample()
        images = image_tensor(shift_images(replay.images(batch.row), config.image_shift_px, rng))
        raw_state = torch.from_numpy(batch.state)
        state = policy.norm.state(raw_state)
        state = state + config.state_noise * torch.randn(state.shape, generator=generator)
        text = sentences_of(replay, policy, batch.instruction_id)
        features = policy.encoder(images, text)
        prefix = policy.expert.encode(features, text, state)
        context = policy.expert.head.c_in(prefix)
        chunk = policy.norm.chunk(torch.from_numpy(batch.action), raw_state)
        entries = (
            torch.from_numpy(batch.mask).repeat_interleave(policy.config.action_dim, 1).float()
        )
        loss, info = flow_matching_loss(
            _head(policy, context),
            chunk,
            entries,
            generator,
            weight=torch.from_numpy(batch.success).float(),
            draws=config.draws,
        )
        labels = scale.loss(
            policy.encoder.predict_labels(features, state), replay.labels(batch.row)
        )
        step(loss + config.label_weight * labels)
        averaged.update(0.01)
        done += 1
        total = int(done / max(progress, 1e-6)) if done > 20 else config.steps
        if report(done, min(total, config.steps), {**info, 'sft/label_loss': labels.item()}):
            break
    averaged.copy_to()


def train_head(
    policy: Policy,
    replay: Replay,
    features: FeatureCache,
    config: SftConfig,
    seed: int,
    report: Report,
) -> None:
    """Train the expert alone on cached features of successful offline episodes."""
    sampler_config = SamplerConfig(batch_size=256, horizon=policy.config.horizon, seed=seed + 1)
    sampler = Sampler(replay, sampler_config, successful)
    parameters = list(policy.expert.parameters())
    lr = 0.5 * config.lr
    optimiser = torch.optim.AdamW(parameters, lr=lr, weight_decay=config.weight_decay)
    step = Step(optimiser, parameters, 1.0)
    averaged = Averaged([policy.expert])
    generator = torch.Generator().manual_seed(seed + 1)
    began, done = time.monotonic(), 0
    while True:
        progress = max(
            done / max(config.head_steps, 1),
            (time.monotonic() - began) / max(config.head_seconds, 1e-6),
        )
        if progress >= 1.0:
            break
        set_cosine(optimiser, lr, progress, warmup=0.1)
        batch = to_tensors(sampler.sample(), replay, policy, features)
        state = batch.state + config.state_noise * torch.randn(
            batch.state.shape, generator=generator
        )
        context = policy.expert.head.c_in(policy.expert.encode(batch.features, batch.text, state))
        loss, info = flow_matching_loss(
            _head(policy, context),
            batch.chunk,
            batch.entries,
            generator,
            draws=2,
        )
        step(loss)
        averaged.update(0.01)
        done += 1
        if report(done, config.head_steps, info):
            break
    averaged.copy_to()
