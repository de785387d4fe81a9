"""What a run of the demo can be told; the command line is made from this."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lwd_policy_node.places import lwd_home

MOST_ROBOTS = 4
"""On one machine DDS finds 32 participants: 7 of each robot, one each of learner, demo and launch."""


def default_home() -> Path:
    """``$LWD_HOME/demo``, so that the demo never mixes with a user's own runs."""
    return lwd_home() / 'demo'


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Watch the loop close on simulated G1s: act, record, upload, learn, publish, act better."""

    online_minutes: float = 7.0
    """Wall-clock minutes that the robots act while the learner trains."""
    robots: int = 2
    """Simulated robots, 1 to 4."""
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

    def __post_init__(self) -> None:
        """Refuse what would fail only when the robots are to start.

        Raises:
            ValueError: which option, its value, and what it may be.
        """
        if not 1 <= self.robots <= MOST_ROBOTS:
            raise ValueError(
                f'robots is {self.robots}: 1 to {MOST_ROBOTS} find each other on one machine, of more some never do; '
                'docs/fleet.md, "Discovery", has what a larger fleet needs'
            )
        for name, least, above in (
            ('online_minutes', 0, True),
            ('demonstrations', 1, False),
            ('eval_episodes', 0, False),
            ('real_time_factor', 0, False),
            ('seed', 0, False),
        ):
            value = getattr(self, name)
            if not (value > least if above else value >= least):
                raise ValueError(
                    f'{name} is {value}: it must be {"more than" if above else "at least"} {least}'
                )
        try:
            shlex.split(self.train_args)
        except ValueError as error:
            raise ValueError(
                f'train_args is {self.train_args!r}: {error}; quote it as a shell would'
            ) from error
