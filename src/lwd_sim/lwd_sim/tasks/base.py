"""What a task is: a scene, its randomisation, the success predicate, and what a good operator does next.

A new task is one file with one subclass of :class:`Task` and one line in ``lwd_sim.tasks``. Scenes are randomised by
changing fields of the compiled model, never by compiling again, so a reset costs less than a millisecond.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from lwd_sim.tasks.scene import Array, Scene

Shift = Literal['trained', 'shift']
SHIFTS: tuple[Shift, ...] = ('trained', 'shift')


@dataclass(frozen=True, slots=True)
class HandGoal:
    """Where one hand should go: tool centre (3,) m, tool axes (3, 3), gripper 0 open .. 1 closed, speed factor."""

    position: Array
    axes: Array
    gripper: float
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Waypoint:
    """What a good operator does now: a stage's name and goals by hand; a hand without a goal goes home."""

    stage: str
    hands: dict[str, HandGoal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Aim:
    """Where an operator believes things are, as errors (3,) m of the item and of the goal; none for an expert."""

    item: Array = field(default_factory=lambda: np.zeros(3))
    goal: Array = field(default_factory=lambda: np.zeros(3))


TRUE_AIM = Aim()


class Task(ABC):
    """One task family. An instance belongs to one world and remembers the scene that it last built."""

    name: ClassVar[str]
    time_limit_s: ClassVar[float]
    stages: ClassVar[tuple[str, ...]]
    """Names of the stages; `progress` is the share of them that is done."""
    label_names: ClassVar[tuple[str, ...]]
    """Columns of `label`, the same for every seed."""
    phrases: ClassVar[tuple[str, ...]]
    """Instructions, with {fields} that `randomise` fills in."""
    held_out_phrases: ClassVar[tuple[str, ...]]
    """Other words for the same, used at `shift` only: no training data has them."""

    body_pose: ClassVar[dict[str, float]] = {}
    """Joints of lift, waist and head that stand elsewhere than in `BODY_POSE`: rad, m."""

    error_scale: ClassVar[float] = 1.0
    """Multiplies the errors of a clumsy operator: a long task forgives less at each step."""

    def __init__(self) -> None:
        self.instruction = ''

    @property
    def target_bodies(self) -> tuple[str, ...]:
        """Free bodies that the named item is made of at the beginning; empty where no one item is named.

        Pre-training of the vision tower asks for the place of the first and moves all of them together.
        """
        return ()

    @abstractmethod
    def scene_xml(self) -> str:
        """Table, items, lights: elements for ``<worldbody>``. The same for every seed."""

    def equality_xml(self) -> str:
        """Elements for ``<equality>``: welds that `after_step` may break (``data.eq_active``)."""
        return ''

    def after_step(self, scene: Scene) -> None:  # noqa: B027
        """What physics does not do by itself, once a control tick: break a weld, set a latch."""

    @abstractmethod
    def randomise(self, scene: Scene, rng: np.random.Generator, shift: Shift) -> None:
        """Place items, choose colours, sizes and light, and set ``self.instruction``.

        The world has restored the model's fields and put the robot into its start pose before.
        """

    @abstractmethod
    def success(self, scene: Scene) -> bool:
        """The sparse success predicate; cheap, for it is asked at every tick."""

    @abstractmethod
    def stages_done(self, scene: Scene) -> int:
        """How many of ``stages`` are done, judged from the present state alone."""

    @abstractmethod
    def label(self, scene: Scene) -> npt.NDArray[np.float32]:
        """Privileged supervision, m in the base frame, in the order of ``label_names``."""

    @abstractmethod
    def waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint:
        """What an operator who believes things are at ``aim`` does from the present state, whatever it is."""

    @abstractmethod
    def held(self, scene: Scene) -> bool:
        """Whether a hand holds the item that matters."""

    @abstractmethod
    def lost(self, scene: Scene) -> bool:
        """Whether the item is out of reach of both hands for good: the episode cannot succeed any more."""

    def wrong_waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint | None:
        """What somebody who misheard the instruction does; None when that is done (or cannot be done wrong)."""
        return self.waypoint(scene, aim)

    def holds_wrong(self, scene: Scene) -> bool:
        """Whether a hand holds something that the instruction did not name."""
        return False

    def dropped(self, scene: Scene) -> bool:
        """Whether the item, no longer held, lies where it should not."""
        return not self.success(scene)

    def danger(self, scene: Scene) -> bool:
        """Whether somebody should stop the robot now."""
        return False

    def distance_left(self, scene: Scene) -> float:
        """A measure that falls while the task advances: stages left, plus metres to the next waypoint."""
        goals = self.waypoint(scene).hands
        metres = sum(
            float(np.linalg.norm(goal.position - scene.tcp(side))) for side, goal in goals.items()
        )
        return len(self.stages) - self.stages_done(scene) + min(metres, 0.99)

    def phrase(self, rng: np.random.Generator, shift: Shift) -> str:
        """One of the phrasings that belong to the level."""
        of = self.held_out_phrases if shift == 'shift' else self.phrases
        return of[int(rng.integers(len(of)))]

    def progress(self, scene: Scene) -> float:
        """Share of stages done, 0 .. 1."""
        return self.stages_done(scene) / len(self.stages)
