"""Coaster: set the mug down on the coaster. A complete small task; docs/adding_a_task.md explains it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from lwd_sim.robot.g1_model import FURNITURE_CONTACT
from lwd_sim.tasks.base import TRUE_AIM, Aim, Shift, Task, Waypoint
from lwd_sim.tasks.grasping import Grasp, carry, find_grasp, leave, pick
from lwd_sim.tasks.scene import Scene
from lwd_sim.tasks.tabletop import (
    TABLE_X,
    ItemKind,
    item_xml,
    place_furniture,
    table_height,
    table_xml,
    vary_looks,
)

MUG = ItemKind('mug', 'mug', (0.85, 0.45, 0.10), 'cylinder', 0.030, 0.040)
COASTER_HALF = 0.05  # m
COASTER_TOP = 0.006  # m over the table


class Coaster(Task):
    """A mug and a coaster, both on the left, both within reach of the left hand."""

    name: ClassVar[str] = 'coaster'
    time_limit_s: ClassVar[float] = 8.0
    stages: ClassVar[tuple[str, ...]] = ('grasped', 'over the coaster', 'on the coaster')
    phrases: ClassVar[tuple[str, ...]] = (
        'put the mug on the coaster',
        'set the mug down on the coaster',
        'the mug goes on the coaster',
    )
    held_out_phrases: ClassVar[tuple[str, ...]] = (
        'please spare the table: use the coaster for the mug',
        'could the mug stand on the coaster?',
    )
    label_names: ClassVar[tuple[str, ...]] = tuple(
        f'{thing}.{axis}' for thing in ('item', 'goal') for axis in 'xyz'
    )
    target: ClassVar[ItemKind] = MUG  # the body that the instruction names

    def __init__(self) -> None:
        super().__init__()
        self._goal = np.zeros(3)  # middle of the coaster, on the table
        self._table_z = 0.0

    # The scene: compiled once, then changed in place for every seed.

    @property
    def target_bodies(self) -> tuple[str, ...]:
        """The mug."""
        return (MUG.name,)

    def scene_xml(self) -> str:
        """Table, coaster, mug."""
        coaster = (
            f'<body name="coaster"><geom name="coaster" type="box" '
            f'size="{COASTER_HALF} {COASTER_HALF} {COASTER_TOP / 2}" pos="0 0 {COASTER_TOP / 2}" '
            f'rgba="0.15 0.30 0.55 1" {FURNITURE_CONTACT}/></body>'
        )
        return table_xml() + coaster + item_xml(MUG)

    def randomise(self, scene: Scene, rng: np.random.Generator, shift: Shift) -> None:
        """Where mug and coaster are, table height, looks."""
        far = 1.5 if shift == 'shift' else 1.0
        vary_looks(scene, rng, shift, (MUG,))
        self._table_z = table_height(rng, shift)
        place_furniture(scene, 'table', TABLE_X, 0.0, self._table_z)
        spread = far * rng.uniform(-0.02, 0.02, 4)
        self._goal = np.array([0.91 + spread[0], 0.30 + spread[1], self._table_z])
        place_furniture(scene, 'coaster', *self._goal)
        height = self._table_z + MUG.half_height + 0.001
        stands = np.array([0.91 + spread[2], 0.16 + spread[3], height])
        scene.place(MUG.name, stands, rng.uniform(-0.2, 0.2))
        self.instruction = self.phrase(rng, shift)

    # What is true now: geometry only, so that a world that is set by hand is judged like one that was played.

    def success(self, scene: Scene) -> bool:
        """The mug stands on the coaster, let go and slower than 0.3 m/s."""
        let_go = scene.gap('l') > 2 * MUG.half_width + 0.008
        return self._on_coaster(scene) and let_go and scene.speed(MUG.name) < 0.3

    def stages_done(self, scene: Scene) -> int:
        """Over: held, and nearer to the middle of the coaster than its half width."""
        if self.success(scene):
            return 3
        if not self.held(scene):
            return 0
        return 2 if self._left(scene) < COASTER_HALF else 1

    def held(self, scene: Scene) -> bool:
        """Whether the left hand holds the mug."""
        return self._grasp(scene).held

    def lost(self, scene: Scene) -> bool:
        """Whether the mug is off the table, fallen or out of the left hand's reach."""
        x, y, z = scene.position(MUG.name)
        upright = abs(scene.axes(MUG.name)[2, 2]) > 0.7
        return not (upright and z > self._table_z - 0.02 and 0.83 < x < 1.0 and 0.05 < y < 0.42)

    def label(self, scene: Scene) -> npt.NDArray[np.float32]:
        """Centres of the mug and of the coaster."""
        return np.concatenate([scene.position(MUG.name), self._goal]).astype(np.float32)

    # What a good operator does next, from whatever state this is.

    def waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint:
        """Pick, carry, set down, leave."""
        grasp = self._grasp(scene)
        if grasp.held:
            height = self._table_z + COASTER_TOP + MUG.half_height
            centre, goal = scene.position(MUG.name), self._goal + aim.goal
            return carry(scene, 'l', centre, goal, height + 0.06, release=height + 0.006)
        if self._on_coaster(scene):
            return leave(scene, 'l', self._table_z + 0.16)
        return pick(scene, 'l', grasp.point + aim.item, grasp.width, yaw=grasp.yaw)

    def _grasp(self, scene: Scene) -> Grasp:
        return find_grasp(scene, 'l', MUG.name, MUG.half_sizes, MUG.shape)

    def _left(self, scene: Scene) -> float:
        return float(np.abs(scene.position(MUG.name) - self._goal)[:2].max())

    def _on_coaster(self, scene: Scene) -> bool:
        height = scene.position(MUG.name)[2] - self._goal[2] - COASTER_TOP - MUG.half_height
        upright = abs(scene.axes(MUG.name)[2, 2]) > 0.98
        return bool(upright and abs(height) < 0.004 and self._left(scene) < COASTER_HALF - 0.01)
