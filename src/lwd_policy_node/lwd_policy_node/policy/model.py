"""The networks of the VLA: cameras and instruction -> features; features, text, state -> prefix;
prefix -> flow.

The prefix is computed once per observation and reused over all flow steps. The vision encoder is
frozen after SFT, so its features can be cached; everything behind it (`ActionExpert`) is what
online learning trains.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lwd_policy_node.policy.config import TEXT_WIDTH, PolicyConfig

TIME_WIDTH = 64


class CameraTower(nn.Module):
    """A small CNN on one camera, told by the instruction what to look for (FiLM on its last two
    layers).

    A stem of stride 4 costs a third of two layers of stride 2, and on a CPU the cameras are what
    training waits for.
    """

    WIDTHS = (32, 64, 64)

    def __init__(self, text_width: int, out: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        height, width = (((side - 4) // 4 + 2) // 2 for side in image_size)
        first, second, third = self.WIDTHS
        self.conv1 = nn.Conv2d(3, first, 6, stride=4, padding=1)
        self.conv2 = nn.Conv2d(first, second, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(second, third, 3, padding=1)
        self.film = nn.Linear(text_width, 2 * (second + third))
        self.squeeze = nn.Conv2d(third, 16, 1)
        self.out = nn.Linear(16 * height * width, out)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """Image (B, 3, h, w) and projected text (B, W) -> features (B, out)."""
        _, second, third = self.WIDTHS
        scale2, shift2, scale3, shift3 = (
            part[:, :, None, None]
            for part in self.film(text).split([second, second, third, third], dim=-1)
        )
        x = functional.silu(self.conv1(image))
        x = functional.silu(self.conv2(x) * (1 + scale2) + shift2)
        x = functional.silu(self.conv3(x) * (1 + scale3) + shift3)
        return torch.tanh(self.out(functional.silu(self.squeeze(x)).flatten(1)))


class VisionEncoder(nn.Module):
    """Head camera and wrist cameras (one tower shared by all wrists) -> features, and labels in
    training.
    """

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.text = nn.Linear(TEXT_WIDTH, config.text_width)
        self.head = CameraTower(config.text_width, config.vision_width, config.image_size)
        self.wrist = CameraTower(config.text_width, config.vision_width, config.image_size)
        self.labels = nn.Sequential(
            nn.Linear(config.feature_dim + config.state_dim, 128),
            nn.SiLU(),
            nn.Linear(128, max(config.label_dim, 1)),
        )

    def forward(self, images: Tensor, text: Tensor) -> Tensor:
        """Images (B, C, 3, h, w) in [-1, 1], sentence embeddings (B, 384) -> features (B, F).

        The first camera is the head's, the others are wrists.
        """
        cue = self.text(text)
        batch, cameras = images.shape[:2]
        features = [self.head(_channels_last(images[:, 0]), cue)]
        if cameras > 1:
            wrists = _channels_last(images[:, 1:].flatten(0, 1))
            cues = cue.repeat_interleave(cameras - 1, dim=0)
            features.append(self.wrist(wrists, cues).view(batch, -1))
        return torch.cat(features, dim=-1)

    def predict_labels(self, features: Tensor, state: Tensor) -> Tensor:
        """Normalised simulator labels (B, L) from features and normalised state: the auxiliary
        loss.
        """
        predicted: Tensor = self.labels(torch.cat([features, state], dim=-1))
        return predicted


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def time_embedding(t: Tensor) -> Tensor:
    """Sines and cosines of t in [0, 1]: (..., 1) -> (..., TIME_WIDTH)."""
    frequencies = torch.exp(torch.linspace(0.0, math.log(200.0), TIME_WIDTH // 2, device=t.device))
    angles = t * frequencies.to(t.dtype) * math.pi
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class FlowHead(nn.Module):
    """MLP that predicts the clean chunk from a noisy one: x (..., B, D), t (..., 1), prefix (B, P)
    -> (..., B, D).
    """

    def __init__(self, chunk: int, prefix: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.x_in = nn.Linear(chunk, hidden)
        self.t_in = nn.Linear(TIME_WIDTH, hidden)
        self.c_in = nn.Linear(prefix, hidden)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.SiLU())
            for _ in range(layers)
        )
        self.mix = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers))
        self.out = nn.Linear(hidden, chunk)

    def forward(self, x: Tensor, t: Tensor, prefix: Tensor) -> Tensor:
        """See the class."""
        return self.from_context(x, t, self.c_in(prefix))

    def from_context(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """The same with `c_in(prefix)` (B, hidden) computed beforehand, for many flow steps."""
        z = self.x_in(x) + self.t_in(time_embedding(t)) + context
        for block, mix in zip(self.blocks, self.mix, strict=True):
            z = z + mix(block(z))
        clean: Tensor = self.out(functional.silu(z))
        return clean


class ActionExpert(nn.Module):
    """Prefix and flow head: everything that acts on frozen features."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.text = nn.Linear(TEXT_WIDTH, config.text_width)
        self.prefix = nn.Sequential(
            nn.Linear(config.feature_dim + config.text_width + config.state_dim, config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.SiLU(),
        )
        self.head = FlowHead(config.chunk_dim, config.hidden, config.hidden, config.layers)

    def encode(self, features: Tensor, text: Tensor, state: Tensor) -> Tensor:
        """Features (B, F), sentence embeddings (B, 384), normalised state (B, S) -> prefix (B,
        P).
        """
        prefix: Tensor = self.prefix(torch.cat([features, self.text(text), state], dim=-1))
        return prefix


class EditHead(nn.Module):
    """QAM's change to the expert's clean chunk, zero at first: what is learned by Q stays apart
    from cloning.
    """

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.head = FlowHead(config.chunk_dim, config.hidden, config.edit_hidden, 2)
        nn.init.zeros_(self.head.out.weight)
        nn.init.zeros_(self.head.out.bias)
