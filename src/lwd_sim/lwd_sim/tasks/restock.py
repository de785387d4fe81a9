"""Restock: one of the items on the table goes into the bin on its side, with the hand of that
side.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lwd_sim.tasks.base import TRUE_AIM, Aim, Shift, Task, Waypoint
from lwd_sim.tasks.grasping import Grasp, carry, find_grasp, leave, pick
from lwd_sim.tasks.scene import Scene
from lwd_sim.tasks.tabletop import (
    BIN_INNER_HALF,
    TABLE_X,
    ItemKind,
    bin_xml,
    hand_on_table,
    item_xml,
    place_furniture,
    table_height,
    table_xml,
    vary_looks,
)

ITEMS = (
    ItemKind('red_can', 'red can', (0.85, 0.10, 0.08), 'cylinder', 0.029, 0.042),
    ItemKind('blue_box', 'blue box', (0.10, 0.25, 0.85), 'box', 0.027, 0.045),
    ItemKind('yellow_can', 'yellow can', (0.92, 0.78, 0.08), 'cylinder', 0.029, 0.042),
)


class Restock(Task):
    """Two items that can be named, one left and one right, and one between them that is only in
    the way.
    """

    name: ClassVar[str] = 'restock'
    time_limit_s: ClassVar[float] = 8.0
    stages: ClassVar[tuple[str, ...]] = ('reached', 'grasped', 'over the bin', 'in the bin')
    phrases: ClassVar[tuple[str, ...]] = (
        'restock the {item}',
        'put the {item} into its bin',
        'place the {item} in the bin beside it',
        'take the {item} and drop it into the bin',
    )
    held_out_phrases: ClassVar[tuple[str, ...]] = (
        'could you tidy the {item} away into the bin next to it?',
        'the {item} goes in the bin on its side',
    )
    label_names: ClassVar[tuple[str, ...]] = (
        *(f'{thing}.{axis}' for thing in ('item', 'goal') for axis in 'xyz'),
        *(f'{kind.name}.{axis}' for kind in ITEMS for axis in 'xyz'),
    )

    def __init__(self) -> None:
        super().__init__()
        self.target = ITEMS[0]
        self.side = 'l'
        self.sides: dict[str, str] = {}  # side of each item on the table that a hand can take
        self._goals = {'l': np.zeros(3), 'r': np.zeros(3)}
        self._table_z = 0.0

    @property
    def target_bodies(self) -> tuple[str, ...]:
        """The named item."""
        return (self.target.name,)

    def scene_xml(self) -> str:
        """Table, two bins, three items."""
        bins = bin_xml('bin_l', '0.20 0.55 0.35 1') + bin_xml('bin_r', '0.20 0.55 0.35 1')
        return table_xml() + bins + ''.join(item_xml(kind) for kind in ITEMS)

    def randomise(self, scene: Scene, rng: np.random.Generator, shift: Shift) -> None:
        """Which item stands where, which one is named, table height, looks."""
        wide = shift == 'shift'
        vary_looks(scene, rng, shift, ITEMS)
        self._table_z = table_height(rng, shift)
        place_furniture(scene, 'table', TABLE_X, 0.0, self._table_z)
        order = [ITEMS[i] for i in rng.permutation(len(ITEMS))]
        x_range, y_range = (
            ((0.86, 0.97), (0.105, 0.205)) if wide else ((0.875, 0.955), (0.12, 0.20))
        )
        self.sides = {}
        for side, sign, kind in (('l', 1, order[0]), ('r', -1, order[1])):
            self.sides[kind.name] = side
            where = np.array([rng.uniform(*x_range), sign * rng.uniform(*y_range), 0.0])
            self._stand(scene, kind, where, rng.uniform(-0.2, 0.2))
            goal = np.array(
                [rng.uniform(0.90, 0.93), sign * rng.uniform(0.35, 0.362), self._table_z]
            )
            place_furniture(scene, f'bin_{side}', *goal)
            self._goals[side] = goal
        between = np.array([rng.uniform(0.90, 0.98), rng.uniform(-0.02, 0.02), 0.0])
        self._stand(scene, order[2], between, rng.uniform(-0.2, 0.2))
        self.target = order[int(rng.integers(2))]
        self.side = self.sides[self.target.name]
        self.instruction = self.phrase(rng, shift).format(item=self.target.words)

    def success(self, scene: Scene) -> bool:
        """The named item lies in its bin, let go and slower than 0.5 m/s."""
        return (
            self.in_bin(scene, self.target.name)
            and scene.gap(self.side) > 2 * self.target.half_width + 0.008
            and scene.speed(self.target.name) < 0.5
        )

    def stages_done(self, scene: Scene) -> int:
        """Reached: the open hand is around the item."""
        if self.in_bin(scene, self.target.name):
            return 4 if self.success(scene) else 3
        centre = scene.position(self.target.name)
        if self.held(scene):
            return 3 if np.linalg.norm((centre - self._goals[self.side])[:2]) < 0.05 else 2
        return int(np.linalg.norm(scene.tcp(self.side) - centre) < 0.05)

    def label(self, scene: Scene) -> npt.NDArray[np.float32]:
        """Centres of the named item, of the floor of its bin, and of every item."""
        everything = [scene.position(kind.name) for kind in ITEMS]
        both = [scene.position(self.target.name), self._goals[self.side]]
        return np.concatenate(both + everything).astype(np.float32)

    def waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint:
        """Approach, grasp, lift, carry, release; then leave."""
        return self._waypoint_for(scene, self.target, aim)

    def wrong_waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint | None:
        """The same with the item on the other side."""
        other = self._other()
        return None if self.in_bin(scene, other.name) else self._waypoint_for(scene, other, aim)

    def held(self, scene: Scene) -> bool:
        """Whether the hand of its side holds the named item."""
        return self._grasp(scene, self.target).held

    def lost(self, scene: Scene) -> bool:
        """Whether the named item is off the table or beyond the reach of its hand."""
        x, y, z = scene.position(self.target.name) * (1.0, 1.0 if self.side == 'l' else -1.0, 1.0)
        return not (z > self._table_z - 0.02 and 0.82 < x < 1.02 and -0.06 < y < 0.45)

    def holds_wrong(self, scene: Scene) -> bool:
        """Whether a hand has lifted the item on the other side."""
        other = self._other()
        lifted = scene.position(other.name)[2] > self._table_z + other.half_height + 0.02
        return lifted and self._grasp(scene, other).held

    def dropped(self, scene: Scene) -> bool:
        """Not over its bin."""
        centre = scene.position(self.target.name)
        return bool(np.abs(centre - self._goals[self.side])[:2].max() > BIN_INNER_HALF)

    def danger(self, scene: Scene) -> bool:
        """A hand pressed on the table."""
        return hand_on_table(scene, self._table_z)

    def in_bin(self, scene: Scene, name: str) -> bool:
        """Whether an item's centre is inside the bin of the side it started on."""
        goal, centre = self._goals[self.sides[name]], scene.position(name)
        inside = np.abs(centre - goal)[:2].max() < BIN_INNER_HALF
        return bool(inside and 0.0 < centre[2] - goal[2] < 0.075)

    def _waypoint_for(self, scene: Scene, kind: ItemKind, aim: Aim) -> Waypoint:
        side = self.sides[kind.name]
        goal, centre, grasp = (
            self._goals[side],
            scene.position(kind.name),
            self._grasp(scene, kind),
        )
        if grasp.held:
            return carry(
                scene, side, centre, goal + aim.goal, self._table_z + 0.115, yaw=grasp.yaw
            )
        if np.abs(centre - goal)[:2].max() < BIN_INNER_HALF:
            return leave(scene, side, self._table_z + 0.16)
        return pick(scene, side, grasp.point + aim.item, grasp.width, yaw=grasp.yaw)

    def _other(self) -> ItemKind:
        return next(k for k in ITEMS if k.name in self.sides and k is not self.target)

    def _grasp(self, scene: Scene, kind: ItemKind) -> Grasp:
        return find_grasp(scene, self.sides[kind.name], kind.name, kind.half_sizes, kind.shape)

    def _stand(
        self, scene: Scene, kind: ItemKind, where: npt.NDArray[np.float64], yaw: float
    ) -> None:
        scene.place(
            kind.name, where + np.array([0, 0, self._table_z + kind.half_height + 0.001]), yaw
        )
