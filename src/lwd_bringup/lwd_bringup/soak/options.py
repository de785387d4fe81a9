"""What a soak is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lwd_policy_node.places import lwd_home

BUCKET = 'soak'
"""Of episodes and weights."""


def default_home() -> Path:
    """``$LWD_HOME/soak``."""
    return lwd_home() / 'soak'


@dataclass(frozen=True, slots=True)
class SoakOptions:
    """Run a fleet of light robots under faults and report what was lost, doubled, late or leaking."""

    robots: int = 16
    """Light robots: frames replayed from a bag, real recorder, uploader and weights client."""
    minutes: float = 60.0
    """Time under load, min."""
    seed: int = 1
    """Seed of the faults and of the episodes' lengths."""
    home: Path = field(default_factory=default_home)
    """Folder of the run; an earlier run there is moved aside, not deleted."""
    report: Path | None = None
    """Folder that gets a copy of soak.json, soak.md and soak.png, as docs/soak; they are in `home` in any case."""
    robots_per_process: int = 8
    """Light robots that share a process; recorder and uploader have one each for every robot."""
    publish_every_s: float = 30.0
    """Time between two versions of the learner, s."""
    fault_every_s: float = 20.0
    """Time between two faults, s."""
    episode_s: float = 15.0
    """Mean length of an episode, s."""
    megabytes: float = 5.0
    """Size of the weights."""
    rate_hz: float = 30.0
    """Control rate of the robots, 1/s."""
    bag: Path | None = None
    """Episode to replay; made by the simulator when not given."""
    domain_id: int | None = None
    """ROS domain; a free one is chosen when not given."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        for name in (
            'robots',
            'minutes',
            'robots_per_process',
            'publish_every_s',
            'rate_hz',
            'megabytes',
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f'{name} is {getattr(self, name)}: it must be positive')
        if self.episode_s < 2.0 or self.fault_every_s < 1.0:
            raise ValueError('episode_s must be at least 2 s and fault_every_s at least 1 s')
        if self.bag is not None and self.bag.resolve().is_relative_to(self.home.resolve()):
            raise ValueError(
                f'bag {self.bag} lies in the folder of the run, {self.home}, which is moved aside first: copy it '
                'elsewhere, or give the run another folder with --home'
            )

    def robot_ids(self) -> list[str]:
        """Names of the robots."""
        return [f'soak_{index:02d}' for index in range(1, self.robots + 1)]
