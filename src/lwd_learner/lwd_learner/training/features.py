"""Features of the frozen vision encoder, kept in memory per image row so that no image is decoded
twice. They are made where the encoder is, and kept in the memory of the host.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from lwd_policy_node.policy import Policy
from lwd_policy_node.policy.normalisation import image_tensor
from torch import Tensor

from lwd_learner.replay import DATASETS, Replay
from lwd_learner.replay.growable import GrowableArray
from lwd_learner.replay.replay import Rows

BLOCK = 64
"""Image rows encoded at a time. Which ones is fixed by their place in the data set, and a block that is not full yet is
padded: so a row's features are the same to the last bit whenever, and beside whatever, it was encoded.
"""


def encoder_hash(policy: Policy) -> str:
    """sha256 of the encoder's tensors: features are only as good as the encoder that made them."""
    digest = hashlib.sha256()
    for name, tensor in sorted(policy.encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class FeatureCache:
    """Features by global row; rows not met before are decoded and encoded on demand."""

    def __init__(self, replay: Replay, policy: Policy) -> None:
        """Cache for one encoder: make a new one when the encoder changes (`encoder_hash` differs)."""
        self._replay = replay
        self._policy = policy
        self.key = encoder_hash(policy)
        width = policy.config.feature_dim
        self._stored = {name: GrowableArray(np.float32, (width,)) for name in DATASETS}
        self._place = {name: GrowableArray(np.int32) for name in DATASETS}
        """Of each row's features in `_stored`; -1: not encoded."""

    def take(self, rows: Rows) -> Tensor:
        """Features (B, F) of global image rows."""
        out = torch.empty(len(rows), self._policy.config.feature_dim)
        for where, local, index in self._replay.split(rows):
            name = DATASETS[int(rows[where[0]] >> 40)]
            self._grow(name, len(index))
            places = self._place[name].data
            self._encode(name, np.unique(local[places[local] < 0]))
            found = self._stored[name].data[places[local]]
            out[torch.from_numpy(where)] = torch.from_numpy(found)
        return out

    def fill(self) -> int:
        """Encode every image row that the replay holds and the cache does not; answers how many."""
        count = 0
        for name in DATASETS:
            rows = np.flatnonzero(self._replay.index(name).new_image.data)
            self._grow(name, len(self._replay.index(name)))
            missing = rows[self._place[name].data[rows] < 0]
            self._stored[name].reserve(len(missing))
            self._encode(name, missing)
            count += len(missing)
        return count

    def _grow(self, name: str, rows: int) -> None:
        more = rows - len(self._place[name])
        if more > 0:
            self._place[name].extend(np.full(more, -1))

    def _keep(self, name: str, local: Rows, features: Tensor) -> None:
        """Hold features (B, F) of distinct rows; what is held of some of them is the same."""
        places = self._place[name].data
        new = places[local] < 0
        held = len(self._stored[name])
        places[local[new]] = np.arange(held, held + int(new.sum()))
        self._stored[name].extend(features.numpy()[new])

    @torch.no_grad()
    def _encode(self, name: str, missing: Rows) -> None:
        """Encode the blocks that hold these image rows."""
        if len(missing) == 0:
            return
        index = self._replay.index(name)
        places = np.flatnonzero(index.image_row.data == np.arange(len(index)))
        for block in np.unique(np.searchsorted(places, missing) // BLOCK).tolist():
            local = places[block * BLOCK : (block + 1) * BLOCK]
            wanted = index.new_image.data[local] | np.isin(local, missing)  # not what was pruned
            read = np.where(wanted, local, local[wanted.argmax()])
            features = self._encode_block(name, np.pad(read, (0, BLOCK - len(read)), 'edge'))
            self._keep(name, local[wanted], features[: len(local)][wanted])

    def _encode_block(self, name: str, local: Rows) -> Tensor:
        words = self._replay.instructions
        sentences = [words[i] for i in self._replay.index(name).instruction.data[local].tolist()]
        encoder = self._policy.encoder
        device = next(encoder.parameters()).device
        images = image_tensor(self._replay.images(self._replay.global_rows(name, local)))
        text = self._policy.sentences.embed(sentences)
        features: Tensor = encoder(images.to(device), text.to(device))
        return features.cpu()
