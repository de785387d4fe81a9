"""The policy as a robot, the learner and evaluation use it: observation in, action chunk out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from lwd_policy_node.image_size import fitted
from lwd_policy_node.policy.config import (
    ADVANTAGE_WORDS,
    TEXT_WIDTH,
    PolicyConfig,
    PolicyError,
)
from lwd_policy_node.policy.critic import Critic
from lwd_policy_node.policy.model import ActionEdit, ActionExpert, EditHead, VisionEncoder
from lwd_policy_node.policy.normalisation import Normalisation, image_tensor
from lwd_policy_node.policy.text import SentenceEncoder
from lwd_policy_node.policy.transformer import TransformerExpert

FloatArray = npt.NDArray[np.float64]


class Observation(Protocol):
    """What a policy looks at; the simulator's and the node's observations both fit."""

    @property
    def images(self) -> Mapping[str, npt.NDArray[np.uint8]]:
        """Newest RGB frame of each camera, (h, w, 3)."""

    @property
    def state(self) -> npt.NDArray[Any]:
        """Joint state in the profile's order, (S,)."""

    @property
    def instruction(self) -> str:
        """The task in words."""


class Policy(nn.Module):
    """Vision encoder, action expert, optional edit head and critic, statistics, and the embeddings of known
    instructions.
    """

    advantage_words: Tensor
    """(2, 384) what is added to an instruction for a negative and a positive advantage; only with `guidance`."""
    critic_trained: Tensor
    """() 0 until the critic has learned anything: one sample is executed as long; only with `best_of`."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.config = config
        self.metadata: dict[str, str] = {}
        self.encoder = VisionEncoder(config)
        self.expert: ActionExpert | TransformerExpert = (
            TransformerExpert(config) if config.attention_heads else ActionExpert(config)
        )
        self.edit = EditHead(config) if config.edit_hidden else None
        self.action_edit = ActionEdit(config) if config.action_edit else None
        self.norm = Normalisation(config)
        self.sentences = SentenceEncoder()
        if config.guidance:
            self.register_buffer('advantage_words', torch.zeros(len(ADVANTAGE_WORDS), TEXT_WIDTH))
        self.critic: Critic | None = None
        if config.best_of > 1:
            sizes = config.critic_hidden, config.critic_heads, config.critic_atoms
            self.critic = Critic(config, *sizes)
            self.register_buffer('critic_trained', torch.zeros(()))
        self.value = math.nan
        """Q of the chunk that was last acted on, the smallest of the heads; NaN without a trained critic."""
        self.eval()

    @property
    def config_hash(self) -> str:
        """sha256 of the config: a robot refuses weights of another shape by it."""
        return self.config.sha256

    def act(
        self, obs: Observation, seed: int, frozen: npt.NDArray[Any] | None = None
    ) -> FloatArray:
        """One chunk of absolute joint targets, (H, A), rad and gripper fractions.

        Args:
            obs: newest images, state, instruction.
            seed: of the start noise; the same seed and observation give the same chunk.
            frozen: (k, A) absolute targets of the first k steps that will be executed anyway; the
                rest of the chunk is in-painted to continue them.
        """
        chunk: FloatArray = self.act_batch([obs], [seed], None if frozen is None else [frozen])[0]
        return chunk

    @torch.inference_mode()
    def act_batch(
        self,
        observations: Sequence[Observation],
        seeds: Sequence[int],
        frozen: Sequence[npt.NDArray[Any] | None] | None = None,
    ) -> FloatArray:
        """Chunks (B, H, A) for B observations; each equals `act` with its own seed."""
        if self.critic is not None and self.critic_trained:
            return self.act_best(observations, seeds, self.critic, self.config.best_of, frozen)
        features, text, state = self.embed(observations)
        chunk = self.sample(features, text, state, self.start_noise(seeds), frozen)
        absolute: FloatArray = self.norm.absolute(chunk, state).double().numpy()
        return absolute

    @torch.inference_mode()
    def act_best(
        self,
        observations: Sequence[Observation],
        seeds: Sequence[int],
        critic: Critic,
        samples: int,
        frozen: Sequence[npt.NDArray[Any] | None] | None = None,
    ) -> FloatArray:
        """Chunks (B, H, A), each the best of so many samples by the smallest of the critic's heads.

        An observation is encoded once for all its samples, whose noise has the seeds ``seed * samples`` and up.
        """
        features, text, state = self.embed(observations)
        readout = critic.readout(features, text, self.norm.state(state))
        noise = self.start_noise([seed * samples + i for seed in seeds for i in range(samples)])
        chunks = self.sample(features, text, state, noise, frozen)
        whole = torch.ones(len(chunks), self.config.horizon, dtype=torch.bool)
        heads = critic.q(readout.repeat_interleave(samples, 0), chunks, whole)
        q = heads.amin(0).view(len(seeds), samples)
        best = chunks.view(*q.shape, -1)[torch.arange(len(q)), q.argmax(1)]
        self.value = float(q[-1].max())
        absolute: FloatArray = self.norm.absolute(best, state).double().numpy()
        return absolute

    def embed(self, observations: Sequence[Observation]) -> tuple[Tensor, Tensor, Tensor]:
        """Vision features (B, F), sentence embeddings (B, 384) and raw states (B, S) of
        observations.
        """
        images = image_tensor(np.stack([self._stack(obs) for obs in observations]))
        text = self.sentences.embed([obs.instruction for obs in observations])
        state = torch.as_tensor(np.stack([obs.state for obs in observations]), dtype=torch.float32)
        return self.encoder(images, text), text, state

    def start_noise(self, seeds: Sequence[int]) -> Tensor:
        """Standard normal noise (B, D), one generator per seed."""
        rows = [
            torch.randn(self.config.chunk_dim, generator=torch.Generator().manual_seed(seed))
            for seed in (int(seed) % 2**64 for seed in seeds)
        ]
        return torch.stack(rows)

    def sample(
        self,
        features: Tensor,
        text: Tensor,
        state: Tensor,
        noise: Tensor,
        frozen: Sequence[npt.NDArray[Any] | None] | None = None,
    ) -> Tensor:
        """Integrate the flow: raw state (B, S), noise (N B, D) -> normalised chunk (N B, D).

        N samples of each observation, its own behind each other; it is encoded once for all of them.
        The velocity of a clean-action head is (x1_hat - x) / (1 - t), so an Euler step moves x
        towards x1_hat by the fraction h / (1 - t), which is 1 at the last step. A policy with guidance predicts
        x1_plain + guidance (x1_positive - x1_plain).
        """
        steps, beta = self.config.flow_steps, self.config.guidance
        samples = len(noise) // len(state)

        def each(part: Tensor) -> Tensor:
            return part if samples == 1 else part.repeat_interleave(samples, 0)

        plain_context = None
        if beta:
            if beta != 1:
                plain = self.expert.encode(features, text, self.norm.state(state))
                plain_context = each(self.expert.head.c_in(plain))
            text = text + self.advantage_words[1]
        prefix = self.expert.encode(features, text, self.norm.state(state))
        context = each(self.expert.head.c_in(prefix))
        edit_context = None if self.edit is None else each(self.edit.head.c_in(prefix))
        start = noise * self.config.start_noise
        known, mask = self._frozen(frozen, state)
        if mask is not None:
            known, mask = each(known), each(mask)
        x = start
        for i in range(steps):
            t = torch.full((1, 1), i / steps)
            if mask is not None:
                x = torch.where(mask, (1 - t) * start + t * known, x)
            clean = self.expert.head.from_context(x, t, context)
            if plain_context is not None:
                unconditioned = self.expert.head.from_context(x, t, plain_context)
                clean = unconditioned + beta * (clean - unconditioned)
            tilted = self.config.edit_last or i < steps - 1
            if tilted and self.edit is not None and edit_context is not None:
                clean = clean + self.edit.head.from_context(x, t, edit_context)
            x = x + (clean - x) / (steps - i)
        if self.action_edit is not None:
            mean, _ = self.action_edit(each(prefix), x).chunk(2, -1)
            x = x + self.config.action_edit * mean.tanh()
        return x if mask is None else torch.where(mask, known, x)

    def _stack(self, obs: Observation) -> npt.NDArray[np.uint8]:
        height, width = self.config.image_size
        frames = []
        for camera in self.config.cameras:
            frame = obs.images.get(camera)
            if frame is None or frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
                found = 'no image' if frame is None else f'{frame.dtype} of shape {frame.shape}'
                raise PolicyError(
                    f'camera {camera}: the policy needs uint8 of shape (h, w, 3), the observation has {found}'
                )
            frames.append(fitted(frame, width, height))
        return np.stack(frames)

    def _frozen(
        self, frozen: Sequence[npt.NDArray[Any] | None] | None, state: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        if frozen is None or all(steps is None or len(steps) == 0 for steps in frozen):
            return state, None
        shape = (len(frozen), self.config.horizon, self.config.action_dim)
        known = torch.zeros(shape)
        mask = torch.zeros(shape, dtype=torch.bool)
        for row, steps in enumerate(frozen):
            if steps is not None:
                k = min(len(steps), self.config.horizon)
                known[row, :k] = torch.as_tensor(np.asarray(steps[:k]), dtype=torch.float32)
                mask[row, :k] = True
        return self.norm.chunk(known, state), mask.flatten(1)

    def save(self, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
        """Write tensors and metadata as safetensors; `metadata` adds to or replaces the policy's
        own entries.
        """
        names, embeddings = self.sentences.known
        tensors = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        tensors['text.embeddings'] = embeddings.contiguous()
        self.metadata.update(metadata or {})
        header = {
            **self.metadata,
            'lwd.config': self.config.to_json(),
            'lwd.config_hash': self.config_hash,
            'lwd.instructions': json.dumps(names),
        }
        header.setdefault('lwd.stage', 'untrained')
        header.setdefault('lwd.step', '0')
        safetensors.torch.save_file(tensors, str(path), metadata=header)

    @classmethod
    def load(cls, path: str | Path, threads: int | None = None) -> Policy:
        """Read a checkpoint.

        Args:
            path: a file written by `save`.
            threads: torch threads of this process from now on; None leaves them.

        Raises:
            PolicyError: not a policy checkpoint, or tensors and config disagree.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        header = _header(path)
        policy = cls(PolicyConfig.from_json(header['lwd.config']))
        try:
            tensors = safetensors.torch.load_file(str(path))
            embeddings = tensors.pop('text.embeddings')
            policy.load_state_dict(tensors)
            policy.sentences.remember(json.loads(header.get('lwd.instructions', '[]')), embeddings)
        except (KeyError, RuntimeError, ValueError, safetensors.SafetensorError) as error:
            raise PolicyError(f'{path}: tensors do not fit the config: {error}') from error
        policy.metadata = header
        return policy

    @staticmethod
    def config_hash_of(path: str | Path) -> str:
        """The config hash of a checkpoint, from its header only."""
        return _header(path)['lwd.config_hash']


def _header(path: str | Path) -> dict[str, str]:
    try:
        with safetensors.safe_open(str(path), framework='pt') as file:
            header: dict[str, str] = dict(file.metadata() or {})
    except (OSError, safetensors.SafetensorError) as error:
        raise PolicyError(f'{path}: no readable safetensors file: {error}') from error
    for key in ('lwd.config', 'lwd.config_hash'):
        if key not in header:
            raise PolicyError(f'{path}: metadata lacks {key!r}; not a policy checkpoint')
    return header
