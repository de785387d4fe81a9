"""Which scene is next, and when: the automatic sequence of a simulated robot.

start -> running -> ended -> (the recorder closed its bag) -> pause -> start ...
All times here are the wall clock, because they wait for processes and not for the robot.
"""

from __future__ import annotations

import enum
import hashlib
import math
from dataclasses import dataclass

SEEDS_PER_ROBOT = 1_000_000
FIRST_BLOCK = 10_000  # below are the scenes of data sets, evaluation and comparisons


@dataclass(frozen=True, slots=True)
class Scene:
    """What the simulator is asked to build."""

    task: str
    seed: int


def first_seed(robot_id: str) -> int:
    """A robot's own block of seeds, from its name: one of 2^32, so that two of a thousand robots share one with a
    chance of 1 in 8,600. Seeds stay below 2^53.
    """
    digest = hashlib.sha256(robot_id.encode()).digest()
    return (FIRST_BLOCK + int.from_bytes(digest[:4], 'big')) * SEEDS_PER_ROBOT


class Phase(enum.Enum):
    """Where the sequence stands."""

    PAUSE = 'pause'
    STARTING = 'starting'
    RUNNING = 'running'
    CLOSING = 'closing'
    DONE = 'done'


class SceneSequence:
    """Hands out one scene after another. Tasks take turns, seeds count up."""

    def __init__(
        self,
        tasks: tuple[str, ...],
        *,
        seed: int,
        scenes: int = 0,
        max_episodes: int = 0,
        pause_s: float = 0.3,
        recorder_timeout_s: float = 5.0,
        wait_for_recorder: bool = True,
    ) -> None:
        """Continue after `scenes` used ones; stop after `max_episodes` more (0 = never).

        Raises:
            ValueError: no task is given.
        """
        if not tasks:
            raise ValueError('tasks is empty: name at least one task')
        self._tasks = tasks
        self._seed = seed
        self.scenes = scenes
        """Scenes handed out, over restarts."""
        self._left = max_episodes if max_episodes > 0 else math.inf
        self._pause_s = pause_s
        self._recorder_timeout_s = recorder_timeout_s
        self._wait_for_recorder = wait_for_recorder
        self.phase = Phase.PAUSE
        self._not_before_s = -math.inf
        self._closing = ''
        self._give_up_s = math.inf
        self._closed = ''

    def due(self, wall_s: float) -> Scene | None:
        """The scene to start now; None while something is under way. Answer with
        `started` or `failed`.
        """
        if self.phase is Phase.CLOSING and (
            self._closed == self._closing or wall_s >= self._give_up_s
        ):
            self.phase = Phase.PAUSE
        if self.phase is not Phase.PAUSE or wall_s < self._not_before_s:
            return None
        if self._left <= 0:
            self.phase = Phase.DONE
            return None
        self.phase = Phase.STARTING
        return self.draw(self._tasks[self.scenes % len(self._tasks)])

    def draw(self, task: str) -> Scene:
        """A scene of `task` that was not used before."""
        scene = Scene(task, self._seed + self.scenes)
        self.scenes += 1
        return scene

    def started(self) -> None:
        """The scene was built and its episode runs."""
        self.phase = Phase.RUNNING

    def failed(self, wall_s: float, retry_s: float) -> None:
        """The scene could not be started: go on with the next one in `retry_s`."""
        self.phase = Phase.PAUSE
        self._not_before_s = wall_s + retry_s

    def ended(self, episode_id: str, wall_s: float) -> None:
        """An episode ended; an aborted one counts too."""
        self._left -= 1
        self.wait_closed(episode_id, wall_s, self._pause_s)

    def wait_closed(self, episode_id: str, wall_s: float, pause_s: float) -> None:
        """Do not go on before `pause_s` are over and the recorder closed `episode_id`, or gave
        no sign in time.
        """
        self._not_before_s = wall_s + pause_s
        if not self._wait_for_recorder:
            self.phase = Phase.PAUSE
            return
        self._closing = episode_id
        self._give_up_s = wall_s + self._recorder_timeout_s
        self.phase = Phase.CLOSING

    def closed(self, episode_id: str) -> None:
        """The recorder closed an episode's bag."""
        self._closed = episode_id
