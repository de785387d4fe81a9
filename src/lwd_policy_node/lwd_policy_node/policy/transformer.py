"""The action expert of the larger presets: a transformer over the chunk's steps that attends to a cached prefix.

It has the MLP expert's interface, so that learner and robots do not care which one they have: a prefix is a flat vector
(here: tokens side by side), and `c_in` turns it, once per observation, into what every flow step needs (here: keys and
values of all layers).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lwd_policy_node.policy.config import TEXT_WIDTH, PolicyConfig
from lwd_policy_node.policy.time_embedding import TIME_WIDTH, time_embedding

EXPANSION = 4
PREFIX_LAYERS = 2


class Attention(nn.Module):
    """Multi-head attention whose keys and values are given: (..., H, W), (..., N, W) twice -> (..., H, W)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """See the class."""
        q, k, v = (
            z.reshape(*z.shape[:-1], self.heads, -1).transpose(-2, -3)
            for z in (self.query(x), key, value)
        )
        seen = functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.out(seen.transpose(-2, -3).flatten(-2))
        return out


class Block(nn.Module):
    """Pre-norm layer: attention among the steps, to the prefix if there is one, and an MLP."""

    def __init__(self, width: int, heads: int, crossed: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.own = nn.Linear(width, 2 * width)
        self.among = Attention(width, heads)
        self.cross_norm = nn.LayerNorm(width) if crossed else None
        self.across = Attention(width, heads) if crossed else None
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, EXPANSION * width),
            nn.SiLU(),
            nn.Linear(EXPANSION * width, width),
        )

    def forward(self, x: Tensor, cached: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Steps (..., H, W), cached keys and values (..., N, W) -> (..., H, W)."""
        z = self.norm(x)
        x = x + self.among(z, *self.own(z).chunk(2, -1))
        if self.across is not None and self.cross_norm is not None and cached is not None:
            x = x + self.across(self.cross_norm(x), *cached)
        out: Tensor = x + self.mlp(x)
        return out


class PrefixTokens(nn.Module):
    """Cameras, their trunk, the instruction and the joints, a token each, that look at one another."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.widths = [config.vision_width] * len(config.cameras) + [
            config.trunk_width,
            config.text_width,
            config.state_dim,
        ]
        self.into = nn.ModuleList(nn.Linear(w, config.hidden) for w in self.widths)
        self.kind = nn.Parameter(0.1 * torch.randn(len(self.widths), config.hidden))
        self.blocks = nn.ModuleList(
            Block(config.hidden, config.attention_heads, False) for _ in range(PREFIX_LAYERS)
        )

    def forward(self, observed: Tensor) -> Tensor:
        """Features, text and state side by side (B, .) -> tokens side by side (B, N * W)."""
        parts = torch.split(observed, self.widths, -1)
        tokens = torch.stack([into(part) for into, part in zip(self.into, parts, strict=True)], -2)
        tokens = tokens + self.kind
        for block in self.blocks:
            tokens = block(tokens)
        return tokens.flatten(-2)


class KeysAndValues(nn.Module):
    """Keys and values of every layer from the prefix: (B, N * W) -> (B, N * L * 2 * W)."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.width = width
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 2 * layers * width)

    def forward(self, prefix: Tensor) -> Tensor:
        """See the class."""
        tokens = self.norm(prefix.reshape(*prefix.shape[:-1], -1, self.width))
        projected: Tensor = self.project(tokens)
        return projected.flatten(-2)


class FlowTransformer(nn.Module):
    """Predicts the clean chunk: x (..., B, D), t (..., 1), prefix (B, P) -> (..., B, D)."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.horizon, self.layers = config.horizon, config.layers
        width = config.hidden
        self.x_in = nn.Linear(config.action_dim, width)
        self.t_in = nn.Sequential(nn.Linear(TIME_WIDTH, width), nn.SiLU(), nn.Linear(width, width))
        self.place = nn.Parameter(0.1 * torch.randn(config.horizon, width))
        self.c_in = KeysAndValues(width, config.layers)
        self.blocks = nn.ModuleList(
            Block(width, config.attention_heads, True) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, config.action_dim)

    def forward(self, x: Tensor, t: Tensor, prefix: Tensor) -> Tensor:
        """See the class."""
        return self.from_context(x, t, self.c_in(prefix))

    def from_context(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """The same with `c_in(prefix)` computed beforehand, for many flow steps."""
        z = self.x_in(x.reshape(*x.shape[:-1], self.horizon, -1)) + self.place
        z = z + self.t_in(time_embedding(t))[..., None, :]
        cached = context.reshape(*context.shape[:-1], -1, self.layers, 2, self.x_in.out_features)
        cached = cached.expand(*x.shape[:-2], *cached.shape)
        for i, block in enumerate(self.blocks):
            z = block(z, (cached[..., i, 0, :], cached[..., i, 1, :]))
        clean: Tensor = self.out(self.norm(z))
        return clean.flatten(-2)


class TransformerExpert(nn.Module):
    """Prefix and flow head: everything that acts on frozen features."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.text = nn.Linear(TEXT_WIDTH, config.text_width)
        self.prefix = PrefixTokens(config)
        self.head = FlowTransformer(config)

    def encode(self, features: Tensor, text: Tensor, state: Tensor) -> Tensor:
        """Features (B, F), sentence embeddings (B, 384), normalised state (B, S) -> prefix (B, P)."""
        prefix: Tensor = self.prefix(torch.cat([features, self.text(text), state], dim=-1))
        return prefix
