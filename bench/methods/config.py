"""What a comparison can be told; all of it goes into its folder, and a folder holds one comparison."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from bench.methods.entries import METHOD_NAMES

DEMONSTRATION_SEED0 = 0
"""First scene seed of the offline buffer."""
HELD_OUT_SEED0 = 100_000
"""First scene seed of the episodes that the critic is measured on."""
ROLL_OUT_SEED0 = 200_000_000
"""First scene seed of online rounds."""
TEST_SEED0 = 700_000_000
"""First scene seed of evaluation; `train` and `evaluate`, which people tune with, use others (500 million and up)."""


def default_folder() -> Path:
    """``$LWD_HOME/methods``, or runs/methods."""
    return Path(os.environ.get('LWD_HOME', 'runs')) / 'methods'


@dataclass(frozen=True, slots=True)
class CompareConfig:
    """Compare methods; what the results hold already is not done again."""

    folder: Path = field(default_factory=default_folder)
    """Data, checkpoints and results.jsonl."""
    tasks: tuple[str, ...] = ('restock', 'correct')
    """Tasks; all methods of a task and seed come before the next."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of weights, batches, noise and roll-outs."""
    methods: tuple[str, ...] = METHOD_NAMES
    """Names from entries.py, ablations included."""
    profile: str = 'g1_laptop'
    """Robot profile."""
    demonstrations: int = 240
    """Noisy demonstrations of the offline buffer, failures among them."""
    play: int = 0
    """Episodes of play in the offline buffer."""
    held_out: int = 60
    """Noisy demonstrations that nothing learns from; the critic's AUC is measured on them."""
    sft_steps: int = 1500
    """Steps of SFT on the features of the shipped vision tower."""
    offline_updates: int = 500
    """Updates of the offline stage."""
    rounds: int = 3
    """Online rounds; 0 for none."""
    round_episodes: int = 32
    """Episodes that the policy acts in a round, the operator beside it."""
    round_updates: int = 200
    """Updates after a round's episodes."""
    test_episodes: int = 100
    """Evaluation episodes, the same scenes for all."""
    offline_only: bool = False
    """Leave the rounds out, for now: a later run without this goes on with them."""
    test_every_round: bool = False
    """Evaluate after every round; otherwise after the offline stage and the last round."""
    workers: int = 1
    """Processes that make data and evaluate."""
    threads: int = 1
    """torch threads of training."""

    def __post_init__(self) -> None:
        for name in ('demonstrations', 'sft_steps', 'test_episodes', 'workers', 'threads'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} is {getattr(self, name)}; it must be at least 1')
        for name in ('rounds', 'play', 'held_out', 'offline_updates'):
            if getattr(self, name) < 0:
                raise ValueError(f'{name} is {getattr(self, name)}; it must not be negative')
