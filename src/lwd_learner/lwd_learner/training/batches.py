"""From the replay's transitions to tensors: features instead of images, normalised states and
chunks.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from lwd_policy_node.policy import Policy
from torch import Tensor

from lwd_learner.replay import DATASETS, Batch, Replay
from lwd_learner.training.features import FeatureCache


@dataclass(frozen=True, slots=True)
class TensorBatch:
    """B transitions as the losses take them."""

    features: Tensor
    """(B, F) frozen vision features at t."""
    text: Tensor
    """(B, 384) sentence embeddings."""
    state: Tensor
    """(B, S) normalised state at t."""
    chunk: Tensor
    """(B, D) normalised executed chunk."""
    steps: Tensor
    """(B, H) bool, executed steps of the chunk."""
    next_features: Tensor
    """(B, F) at the bootstrap observation."""
    next_state: Tensor
    """(B, S) normalised."""
    reward: Tensor
    """(B,) discounted reward of the window."""
    discount: Tensor
    """(B,) bootstrap factor, 0 where the episode ended."""
    correction: Tensor
    """(B,) bool, commanded by a human who had taken over from the policy: a roll-out's, not a demonstration's."""

    def to(self, device: torch.device) -> TensorBatch:
        """The same on a device."""
        return TensorBatch(*(getattr(self, f.name).to(device) for f in fields(self)))

    @property
    def entries(self) -> Tensor:
        """(B, D) float, 1 where the chunk's entry was executed."""
        actions = self.chunk.shape[1] // self.steps.shape[1]
        entries: Tensor = self.steps.repeat_interleave(actions, dim=1).float()
        return entries


def sentences_of(replay: Replay, policy: Policy, instruction_id: npt.NDArray[np.int32]) -> Tensor:
    """Sentence embeddings (B, 384) of a batch's instructions."""
    table = policy.sentences.embed(replay.instructions)
    rows: Tensor = table[torch.from_numpy(instruction_id.astype(np.int64))]
    return rows


def to_tensors(
    batch: Batch, replay: Replay, policy: Policy, features: FeatureCache
) -> TensorBatch:
    """Look up features and normalise."""
    state = torch.from_numpy(batch.state)
    both = features.take(np.concatenate([batch.row, batch.next_row]))
    chunk = policy.norm.chunk(torch.from_numpy(batch.action), state)
    return TensorBatch(
        features=both[: len(batch)],
        text=sentences_of(replay, policy, batch.instruction_id),
        state=policy.norm.state(state),
        chunk=chunk.clamp(-6, 6),
        steps=torch.from_numpy(batch.mask),
        next_features=both[len(batch) :],
        next_state=policy.norm.state(torch.from_numpy(batch.next_state)),
        reward=torch.from_numpy(batch.reward),
        discount=torch.from_numpy(batch.discount),
        correction=torch.from_numpy(batch.human & (batch.dataset == DATASETS.index('online'))),
    )
