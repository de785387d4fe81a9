"""V and Q over the frozen vision features: a trunk of their own, V's atoms, Q's heads. The learner trains them; a
policy that takes the best of several samples carries a copy.

At `tiny` the critic reads the features of the policy's frozen encoder instead of having an encoder
of its own, as the paper's has: on two cores a second set of cameras does not pay. Its trunk is its
own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lwd_policy_node.policy.config import TEXT_WIDTH, PolicyConfig

STEP_WIDTH = 64
QUERIES = 4


class ChunkPool(nn.Module):
    """Learned temporal attention over the valid steps of a chunk: (B, H, A), (B, H) -> (B, QUERIES
    * STEP_WIDTH).
    """

    def __init__(self, action_dim: int, horizon: int) -> None:
        super().__init__()
        self.step = nn.Linear(action_dim, STEP_WIDTH)
        self.position = nn.Parameter(torch.randn(horizon, STEP_WIDTH) * 0.1)
        self.score = nn.Linear(STEP_WIDTH, QUERIES)

    def forward(self, chunk: Tensor, mask: Tensor) -> Tensor:
        """See the class; masked steps have no influence."""
        steps = nn.functional.silu(self.step(chunk) + self.position)
        scores = self.score(steps).masked_fill(~mask[..., None], float('-inf'))
        return torch.einsum('bhq,bhw->bqw', scores.softmax(1), steps).flatten(1)


class Critic(nn.Module):
    """Trunk (features, text, state) -> readout; V's logits from the readout, Q from readout and
    chunk.
    """

    def __init__(self, config: PolicyConfig, hidden: int, heads: int, atoms: int) -> None:
        super().__init__()
        self.horizon, self.action_dim = config.horizon, config.action_dim
        self.text = nn.Linear(TEXT_WIDTH, config.text_width)
        self.trunk = nn.Sequential(
            nn.Linear(config.feature_dim + config.text_width + config.state_dim, hidden),
            nn.LayerNorm(hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
        )
        self.value = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, atoms))
        self.pool = ChunkPool(config.action_dim, config.horizon)
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Linear(hidden + QUERIES * STEP_WIDTH, hidden),
                nn.LayerNorm(hidden),
                nn.SiLU(),
                nn.Linear(hidden, hidden),
                nn.SiLU(),
                nn.Linear(hidden, 1),
            )
            for _ in range(heads)
        )

    def readout(self, features: Tensor, text: Tensor, state: Tensor) -> Tensor:
        """Features (B, F), sentence embeddings (B, 384), normalised state (B, S) -> (B, hidden)."""
        readout: Tensor = self.trunk(torch.cat([features, self.text(text), state], dim=-1))
        return readout

    def value_logits(self, readout: Tensor) -> Tensor:
        """Logits of V's atoms, (B, K)."""
        logits: Tensor = self.value(readout)
        return logits

    def q(self, readout: Tensor, chunk: Tensor, mask: Tensor) -> Tensor:
        """Q heads (heads, B) of normalised chunks (B, D) with valid steps (B, H)."""
        pooled = self.pool(chunk.view(-1, self.horizon, self.action_dim), mask)
        z = torch.cat([readout, pooled], dim=-1)
        return torch.stack([head(z)[:, 0] for head in self.heads])
