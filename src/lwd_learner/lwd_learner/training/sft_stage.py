"""Stage 1: the encoder and the action expert from successful demonstrations.

The auxiliary loss on object positions (simulator labels, on all demonstrations) stands in for the
vision-language pre-training that a small CNN from scratch does not have. Afterwards the encoder is
frozen for good, features are cached, and the expert alone is trained on them for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lwd_policy_node.policy import Policy
from lwd_policy_node.policy.normalisation import image_tensor
from torch import Tensor, nn
from torch.nn import functional

from lwd_learner.algorithms.sft import CleanHead, flow_matching_loss
from lwd_learner.replay import Replay, Sampler, SamplerConfig, everything, successful
from lwd_learner.training.batches import sentences_of, to_tensors
from lwd_learner.training.config import SftConfig
from lwd_learner.training.features import FeatureCache
from lwd_learner.training.optimisation import Averaged, Step, set_cosine
from lwd_learner.training.stage_clock import StageClock
from lwd_learner.training.stage_state import StageState, load_optimiser, optimiser_tensors

Report = Callable[['Cloning', dict[str, float]], bool]
"""Called after each step with what to log -> True to stop; the averages are not taken over then."""

HEAD_BATCH = 256
"""Observations of a step of the expert alone: they cost little, for their images are encoded already."""

CPU = torch.device('cpu')

STATISTICS_ENTRIES = 1 << 25
"""Numbers of all chunks that the normalisation is taken from, at most: they are read at once, 134 MB, and copied some
times. That is 131,072 chunks of 16 steps of 16 joints, an hour and more; a spread sample of a larger replay is as good.
"""

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
        target = ((torch.from_numpy(labels) - self.mean) / self.scale).to(predicted.device)
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
    """Set the policy's normalisation from the successful offline transitions, of very many from evenly spread ones."""
    config = SamplerConfig(horizon=policy.config.horizon, gamma=gamma)
    sampler = Sampler(replay, config, successful)
    starts = sampler.start_rows('offline')
    most = STATISTICS_ENTRIES // policy.config.chunk_dim
    if len(starts) > most:
        starts = starts[np.arange(most) * len(starts) // most]
    batch = sampler.read(starts)
    policy.norm.fit(batch.state, batch.action, batch.mask)


class Cloning:
    """Everything that changes while a network clones, so that a checkpoint can hold it."""

    def __init__(
        self,
        part: str,
        modules: Sequence[nn.Module],
        sampler: Sampler,
        config: SftConfig,
        lr: float,
        seed: int,
        clock: StageClock,
        device: torch.device = CPU,
    ) -> None:
        """Begin at the modules as they are, and keep them on `device`; `lr` is the peak rate."""
        self.part, self.sampler, self.clock, self.device = part, sampler, clock, device
        self.lr = lr
        self.parameters = [p for module in modules for p in module.to(device).parameters()]
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=lr, weight_decay=config.weight_decay
        )
        self.averaged = Averaged(modules)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self._step = Step(self.optimiser, self.parameters, 1.0)

    @property
    def seconds_flag(self) -> str:
        """Field of SftConfig that bounds its time, as on the command line."""
        return 'seconds' if self.part == 'images' else 'head-seconds'

    @property
    def skipped(self) -> int:
        """Steps left out because something was not finite."""
        return self._step.skipped

    def noisy(self, state: Tensor, config: SftConfig) -> Tensor:
        """Normalised states with the noise of training."""
        noise = torch.randn(state.shape, generator=self.generator, device=self.device)
        return state + config.state_noise * noise

    def step(self, loss: Tensor, warmup: float) -> None:
        """Take one step at the rate that the clock asks for, and average."""
        set_cosine(self.optimiser, self.lr, self.clock.progress, warmup)
        if self._step(loss):
            self.averaged.update(0.01)
        self.clock.done += 1

    def state(self) -> StageState:
        """All of it but the weights themselves, which are the policy's."""
        count, mean = self.averaged.state()
        tensors = {'generator': self.generator.get_state()}
        tensors |= optimiser_tensors(self.optimiser, 'optimiser.')
        tensors |= {f'mean.{i}': tensor for i, tensor in enumerate(mean)}
        values = {
            'clock': self.clock.state(),
            'sampler': self.sampler.state_dict(),
            'rng': self.rng.bit_generator.state,
            'averaged': count,
            'skipped': self.skipped,
        }
        return StageState(self.part, values, tensors)

    def load(self, state: StageState) -> None:
        """Go on from a `state`, with the weights that were saved beside it."""
        values, tensors = state.values, state.tensors
        self.clock.load(values['clock'])
        self.sampler.load_state_dict(values['sampler'])
        self.rng.bit_generator.state = values['rng']
        self.generator.set_state(tensors['generator'])
        self.averaged.load(
            values['averaged'], [tensors[f'mean.{i}'] for i in range(len(self.parameters))]
        )
        self._step.skipped = values['skipped']
        load_optimiser(self.optimiser, tensors, 'optimiser.')


def images_cloning(
    policy: Policy, replay: Replay, config: SftConfig, seed: int, device: torch.device = CPU
) -> Cloning:
    """Encoder and expert, on all offline episodes."""
    horizon = policy.config.horizon
    sampler = Sampler(
        replay, SamplerConfig(batch_size=config.batch_size, horizon=horizon, seed=seed), everything
    )
    clock = StageClock(config.steps, config.seconds)
    modules = [policy.encoder, policy.expert]
    return Cloning('images', modules, sampler, config, config.lr, seed, clock, device)


def head_cloning(
    policy: Policy, replay: Replay, config: SftConfig, seed: int, device: torch.device = CPU
) -> Cloning:
    """The expert alone, on successful offline episodes."""
    horizon = policy.config.horizon
    sampler = Sampler(
        replay, SamplerConfig(HEAD_BATCH, horizon=horizon, seed=seed + 1), successful
    )
    clock = StageClock(config.head_steps, config.head_seconds)
    modules = [policy.expert]
    return Cloning('head', modules, sampler, config, 0.5 * config.lr, seed + 1, clock, device)


def train_images(
    policy: Policy, replay: Replay, config: SftConfig, cloning: Cloning, report: Report
) -> None:
    """Train encoder and expert together on images of offline episodes; only successes are cloned."""
    known = cloning.sampler.state_dict()['rows'][
        'offline'
    ]  # what came later has no say in the scale
    width = policy.config.label_dim  # a task that came later may have more
    scale = LabelScale(replay.index('offline').label.data[:known, :width])
    device = cloning.device
    while not cloning.clock.over:
        batch = cloning.sampler.sample()
        images = image_tensor(
            shift_images(replay.images(batch.row), config.image_shift_px, cloning.rng)
        ).to(device)
        raw_state = torch.from_numpy(batch.state)
        state = cloning.noisy(policy.norm.state(raw_state).to(device), config)
        text = sentences_of(replay, policy, batch.instruction_id).to(device)
        features = policy.encoder(images, text)
        prefix = policy.expert.encode(features, text, state)
        context = policy.expert.head.c_in(prefix)
        chunk = policy.norm.chunk(torch.from_numpy(batch.action), raw_state).to(device)
        steps = torch.from_numpy(batch.mask).to(device)
        entries = steps.repeat_interleave(policy.config.action_dim, 1).float()
        loss, info = flow_matching_loss(
            _head(policy, context),
            chunk,
            entries,
            cloning.generator,
            weight=torch.from_numpy(batch.success).float().to(device),
            draws=config.draws,
        )
        labels = scale.loss(
            policy.encoder.predict_labels(features, state), replay.labels(batch.row)[:, :width]
        )
        cloning.step(loss + config.label_weight * labels, warmup=0.03)
        if report(cloning, {**info, 'sft/label_loss': labels.item()}):
            return
    cloning.averaged.copy_to()


def train_head(
    policy: Policy,
    replay: Replay,
    features: FeatureCache,
    config: SftConfig,
    cloning: Cloning,
    report: Report,
) -> None:
    """Train the expert alone on cached features of successful offline episodes."""
    while not cloning.clock.over:
        batch = to_tensors(cloning.sampler.sample(), replay, policy, features).to(cloning.device)
        state = cloning.noisy(batch.state, config)
        context = policy.expert.head.c_in(policy.expert.encode(batch.features, batch.text, state))
        loss, info = flow_matching_loss(
            _head(policy, context),
            batch.chunk,
            batch.entries,
            cloning.generator,
            draws=2,
        )
        cloning.step(loss, warmup=0.1)
        if report(cloning, info):
            return
    cloning.averaged.copy_to()
