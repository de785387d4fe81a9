"""Train a vision encoder to say where things are, from glimpses of many scenes; then freeze it for good.

A real VLA's backbone comes pre-trained on web-scale data. A small encoder for laptops has none, and the few hundred
scenes of a demonstration set do not suffice to find things in a new one. The simulator's object positions are the
supervision; the policy never sees them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from lwd_policy_node.policy import Policy
from lwd_policy_node.policy.normalisation import image_tensor
from lwd_sim.data.glimpses import Glimpses
from torch import Tensor, nn

from lwd_learner.training.sft_stage import LabelScale, shift_images

IMAGE_SHIFT_PX = 1


@dataclass(frozen=True, slots=True)
class Fit:
    """How to train."""

    steps: int = 6000
    batch_size: int = 64
    lr: float = 2e-3
    seed: int = 0


class VisionPretraining:
    """The encoder of a policy, one read-out a task, and their frames."""

    def __init__(self, policy: Policy, glimpses: Mapping[str, Glimpses], fit: Fit) -> None:
        """Hold out the last twentieth of every task's frames (whole scenes)."""
        torch.manual_seed(fit.seed)
        self._encoder = policy.encoder
        self._fit = fit
        self._rng = np.random.default_rng(fit.seed)
        self._frames = dict(glimpses)
        self._held_out = {
            task: len(g.images) - len(g.images) // 20 for task, g in glimpses.items()
        }
        self._scales = {task: LabelScale(g.labels) for task, g in glimpses.items()}
        names = {task: sorted(set(g.instructions)) for task, g in glimpses.items()}
        self._text = {
            task: policy.sentences.embed(names[task])[
                torch.tensor([names[task].index(text) for text in g.instructions])
            ]
            for task, g in glimpses.items()
        }
        self._width = policy.config.trunk_width
        self._readouts = nn.ModuleDict(
            {task: nn.Linear(self._width, g.labels.shape[1]) for task, g in glimpses.items()}
        )

    def run(self, report: Callable[[int, float], None] = lambda step, loss: None) -> None:
        """Train; `report(step, loss)` after each step."""
        fit = self._fit
        parameters = [*self._encoder.parameters(), *self._readouts.parameters()]
        optimiser = torch.optim.AdamW(parameters, lr=fit.lr)
        tasks = list(self._frames)
        for step in range(fit.steps):
            rate = min(1.0, step / 50) * 0.5 * (1 + math.cos(math.pi * step / fit.steps))
            for group in optimiser.param_groups:
                group['lr'] = fit.lr * rate + 1e-6
            task = tasks[step % len(tasks)]
            rows = self._rng.choice(self._held_out[task], fit.batch_size)
            images = shift_images(self._frames[task].images[rows], IMAGE_SHIFT_PX, self._rng)
            loss = self._scales[task].loss(
                self._predict(task, images, rows), self._frames[task].labels[rows]
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            report(step + 1, loss.item())

    @torch.no_grad()
    def errors_m(self) -> dict[str, float]:
        """Median absolute error of the named item's position (x and y) on held-out scenes, m, by task."""
        found = {}
        for task, glimpses in self._frames.items():
            rows = np.arange(self._held_out[task], len(glimpses.images))
            scale = self._scales[task]
            off = []
            for part in np.array_split(rows, max(1, len(rows) // 200)):
                predicted = (
                    self._predict(task, glimpses.images[part], part) * scale.scale + scale.mean
                )
                off.append((predicted.numpy() - glimpses.labels[part])[:, :2])
            found[task] = float(np.median(np.abs(np.concatenate(off))))
        return found

    def _predict(self, task: str, images: np.ndarray, rows: np.ndarray) -> Tensor:  # type: ignore[type-arg]
        features = self._encoder(image_tensor(images), self._text[task][rows])
        predicted: Tensor = self._readouts[task](features[:, -self._width :])
        return predicted
