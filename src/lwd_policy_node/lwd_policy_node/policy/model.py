"""The networks of the VLA: cameras and instruction -> features; features, text, state -> prefix;
prefix -> flow.

The prefix is computed once per observation and reused over all flow steps. The vision encoder is
frozen after SFT, so its features can be cached; everything behind it (`ActionExpert`) is what
online learning trains.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lwd_policy_node.policy.config import TEXT_WIDTH, PolicyConfig, PolicyError
from lwd_policy_node.policy.time_embedding import TIME_WIDTH, time_embedding

TRUNK_HIDDEN = 256


class CameraTower(nn.Module):
    """A small CNN on one camera that looks for what the instruction names.

    Attention heads score every place of the last feature map, most of them against a query made from the
    instruction; a head's feature is where it looks (the mean position under its softmax), the queried ones also
    say what is there. A squeezed map adds what no head looks at. Positions rather than maps are what lets few
    scenes suffice.
    """

    WIDTHS = (16, 32, 32)
    QUERIED, FREE = 8, 16  # heads
    KEY, VALUE = 16, 4  # channels of a queried head
    SQUEEZED = 8  # channels of the map

    x: Tensor
    y: Tensor

    def __init__(self, text_width: int, out: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        first, second, third = self.WIDTHS
        rows, columns = (side // 4 for side in image_size)
        looked = 2 * (self.QUERIED + self.FREE) + self.QUERIED * self.VALUE
        if out <= looked:
            raise PolicyError(f'vision_width={out} must be over {looked}')
        self.conv1 = nn.Conv2d(3, first, 4, stride=2, padding=1)
        self.conv2 = nn.Conv2d(first, second, 4, stride=2, padding=1)
        self.conv3 = nn.Conv2d(second, third, 3, padding=1)
        self.key = nn.Conv2d(third, self.QUERIED * self.KEY, 1)
        self.query = nn.Linear(text_width, self.QUERIED * self.KEY)
        self.free = nn.Conv2d(third, self.FREE, 1)
        self.value = nn.Conv2d(third, self.QUERIED * self.VALUE, 1)
        self.squeeze = nn.Conv2d(third, self.SQUEEZED, 1)
        self.out = nn.Linear(self.SQUEEZED * (rows // 2) * (columns // 2), out - looked)
        self.register_buffer('y', torch.linspace(-1, 1, rows), persistent=False)
        self.register_buffer('x', torch.linspace(-1, 1, columns), persistent=False)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """Image (B, 3, h, w) and projected text (B, W) -> features (B, out)."""
        z = functional.silu(self.conv1(image))
        z = functional.silu(self.conv2(z))
        z = functional.silu(self.conv3(z))
        batch, _, rows, columns = z.shape
        keys = self.key(z).view(batch, self.QUERIED, self.KEY, -1)
        query = self.query(text).view(batch, self.QUERIED, 1, self.KEY)
        queried = (query @ keys)[:, :, 0] / self.KEY**0.5
        weights = torch.cat([queried, self.free(z).flatten(2)], 1).softmax(-1)
        maps = weights.view(batch, -1, rows, columns)
        across, down = (maps.sum(2) * self.x).sum(-1), (maps.sum(3) * self.y).sum(-1)
        values = self.value(z).view(batch, self.QUERIED, self.VALUE, -1)
        seen = torch.einsum('bhn,bhvn->bhv', weights[:, : self.QUERIED], values).flatten(1)
        rest = functional.silu(self.squeeze(functional.avg_pool2d(z, 2))).flatten(1)
        return torch.cat([across, down, seen, torch.tanh(self.out(rest))], 1)


class VisionEncoder(nn.Module):
    """Head camera and wrist cameras (one tower shared by all wrists) -> features, and labels in
    training.

    Places in images are not places in the world: the trunk turns what all cameras see into something
    that pre-training makes linear in metres, so that few demonstrations suffice behind it.
    """

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.text = nn.Linear(TEXT_WIDTH, config.text_width)
        self.head = CameraTower(config.text_width, config.vision_width, config.image_size)
        self.wrist = CameraTower(config.text_width, config.vision_width, config.image_size)
        self.trunk = nn.Sequential(
            nn.Linear(config.feature_dim - config.trunk_width, TRUNK_HIDDEN),
            nn.SiLU(),
            nn.Linear(TRUNK_HIDDEN, config.trunk_width),
            nn.SiLU(),
        )
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
        seen = torch.cat(features, dim=-1)
        return torch.cat([seen, self.trunk(seen)], dim=-1)

    def predict_labels(self, features: Tensor, state: Tensor) -> Tensor:
        """Normalised simulator labels (B, L) from features and normalised state: the auxiliary
        loss.
        """
        predicted: Tensor = self.labels(torch.cat([features, state], dim=-1))
        return predicted


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


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
        self.head = FlowHead(config.chunk_dim, config.prefix_dim, config.edit_hidden, 2)
        nn.init.zeros_(self.head.out.weight)
        nn.init.zeros_(self.head.out.bias)


class ActionEdit(nn.Module):
    """QAM-E's edit of a sampled chunk: prefix (B, P), chunk (B, D) -> mean and log sd of an edit before tanh, (B, 2 D).

    Zero at first: acting takes the mean, so what acts begins as the flow.
    """

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        hidden = config.edit_hidden
        self.net = nn.Sequential(
            nn.Linear(config.prefix_dim + config.chunk_dim, hidden),
            nn.LayerNorm(hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
        )
        self.out = nn.Linear(hidden, 2 * config.chunk_dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, prefix: Tensor, chunk: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.out(self.net(torch.cat([prefix, chunk], dim=-1)))
        return out
