"""What the demo knows of the fleet: plain data, filled by the watch node, read by the view and the report."""

from __future__ import annotations

from dataclasses import dataclass, field

MODES = ('hold', 'policy', 'human', 'e-stop')


@dataclass(slots=True)
class RobotView:
    """One robot as last heard of."""

    robot_id: str
    mode: str = 'hold'
    episode_running: bool = False
    task: str = ''
    instruction: str = ''
    version: int = 0
    standby: int = 0
    episodes: int = 0
    successes: int = 0
    takeovers: int = 0
    backlog: int = 0
    heard_s: float = 0.0  # monotonic clock of the last message


@dataclass(slots=True)
class EpisodeView:
    """One episode as announced on the robot's `episode` topic."""

    episode_id: str
    robot_id: str
    outcome: str = ''  # '' while it runs
    takeovers: int = 0


@dataclass(slots=True)
class Fleet:
    """All robots and all episodes announced since the start."""

    robots: dict[str, RobotView] = field(default_factory=dict)
    episodes: dict[str, EpisodeView] = field(default_factory=dict)
    loaded: dict[str, list[int]] = field(
        default_factory=dict
    )  # versions each robot loaded, in order
    refused: list[str] = field(default_factory=list)  # robot, version and reason

    def robot(self, robot_id: str) -> RobotView:
        """The robot's entry, made when it is new."""
        return self.robots.setdefault(robot_id, RobotView(robot_id))

    @property
    def takeovers(self) -> int:
        """Human spells over all episodes."""
        return sum(episode.takeovers for episode in self.episodes.values())

    @property
    def at_rest(self) -> bool:
        """No episode runs and nothing waits for upload."""
        return not any(robot.episode_running or robot.backlog for robot in self.robots.values())
