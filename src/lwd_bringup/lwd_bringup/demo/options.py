"""What a run of the demo can be told; the command line is made from this."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


def default_home() -> Path:
    """``$LWD_HOME/demo``, so that the demo never mixes with a user's own runs."""
    return Path(os.environ.get('LWD_HOME', str(Path.home() / '.lwd'))) / 'demo'


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Watch the loop close on simulated G1s: act, record, upload, learn, publish, act better."""

    online_minutes: float = 7.0
    """Wall-clock minutes that the robots act while the learner trains."""
    robots: int = 2
    """Simulated robots."""
    task: Literal['restock', 'handover'] = 'restock'
    """Task of the demonstrations and of the fleet."""
    demonstrations: int = 200
    """Scripted, noisy demonstrations that become the offline buffer."""
    eval_episodes: int = 100
    """Evaluation episodes after each stage, on the same seeds."""
    real_time_factor: float = 2.0
    """Speed of simulated time while the robots act."""
    profile: str = 'g1_laptop'
    """Robot profile: a known name or a path to a YAML."""
    home: Path = field(default_factory=default_home)
    """Folder of the run; an earlier run there is moved aside, not deleted."""
    domain_id: int | None = None
    """ROS domain; by default the first that nobody on this machine uses."""
    seed: int = 0
    """Seed of demonstrations and training; evaluation seeds are fixed."""
    train_args: str = ''
    """Further arguments of the learner in one string, e.g. --train-args="--sft.seconds 20"."""
