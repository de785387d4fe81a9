"""Correct: the wrong item stands in a tray; it goes to the returns bin beside it, and the named one takes its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lwd_sim.robot.g1_model import FURNITURE_CONTACT
from lwd_sim.tasks.base import TRUE_AIM, Aim, HandGoal, Shift, Task, Waypoint
from lwd_sim.tasks.grasping import GRASP_TILT_RAD, Grasp, carry, find_grasp, leave, pick
from lwd_sim.tasks.scene import SIDES, Array, Scene, grasp_axes
from lwd_sim.tasks.tabletop import (
    BIN_INNER_HALF,
    TABLE_EDGE_X,
    TABLE_TOP_Z,
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
    ItemKind('red_can', 'red can', (0.85, 0.10, 0.08), 'cylinder', 0.027, 0.042),
    ItemKind('blue_box', 'blue box', (0.10, 0.25, 0.85), 'box', 0.025, 0.045),
    ItemKind('yellow_can', 'yellow can', (0.92, 0.78, 0.08), 'cylinder', 0.027, 0.042),
    ItemKind('green_box', 'green box', (0.10, 0.60, 0.20), 'box', 0.025, 0.045),
)
TRAY_INNER_HALF = 0.050  # m
_TRAY_FLOOR = 0.004  # m
_TRAY_WALL = 0.012  # m: low enough to take a fallen item out
_FLY_M = 0.18  # of the tool centre over the table: the fingers clear standing items
_BESIDE_M = 0.06
_SIGN = {'l': 1.0, 'r': -1.0}
_HAND = {'l': 'left', 'r': 'right'}


@dataclass(frozen=True, slots=True)
class Corner:
    """One side of the table: what stands in its tray, what stands beside it, and where tray and returns bin are."""

    side: str
    wrong: ItemKind
    right: ItemKind
    tray: Array  # centre of the floor, (3,) m
    returns: Array  # centre of the floor, (3,) m


class Correct(Task):
    """Each side has a tray with a wrong item, an item beside it and a returns bin; the instruction is about one."""

    name: ClassVar[str] = 'correct'
    time_limit_s: ClassVar[float] = 16.0
    error_scale: ClassVar[float] = 0.6
    stages: ClassVar[tuple[str, ...]] = (
        'wrong one grasped',
        'wrong one out',
        'right one grasped',
        'right one in',
    )
    phrases: ClassVar[tuple[str, ...]] = (
        'the {item} belongs in the {hand} tray: return the {wrong} and put it in',
        'replace the {wrong} in the {hand} tray with the {item}',
        'correct the {hand} tray: the {wrong} goes to the returns, the {item} goes in',
    )
    held_out_phrases: ClassVar[tuple[str, ...]] = (
        'somebody put the {wrong} where the {item} should be on the {hand}: please fix it',
        'the {hand} tray is for the {item}, so throw the {wrong} in the returns bin first',
    )
    label_names: ClassVar[tuple[str, ...]] = (
        *(f'{thing}.{axis}' for thing in ('item', 'goal', 'wrong', 'returns') for axis in 'xyz'),
        *(f'{kind.name}.{axis}' for kind in ITEMS for axis in 'xyz'),
    )

    def __init__(self) -> None:
        super().__init__()
        self.corners: dict[str, Corner] = {}
        self.side = 'l'
        self._table_z = 0.0

    @property
    def corner(self) -> Corner:
        """The side that the instruction is about."""
        return self.corners[self.side]

    @property
    def target(self) -> ItemKind:
        """The named item that belongs in the tray."""
        return self.corner.right

    @property
    def target_bodies(self) -> tuple[str, ...]:
        """The named item."""
        return (self.target.name,)

    def scene_xml(self) -> str:
        """Table, a tray and a returns bin on each side, four items."""
        furniture = ''.join(
            _tray_xml(f'tray_{side}') + bin_xml(f'returns_{side}', '0.30 0.30 0.34 1')
            for side in SIDES
        )
        return table_xml() + furniture + ''.join(item_xml(kind) for kind in ITEMS)

    def randomise(self, scene: Scene, rng: np.random.Generator, shift: Shift) -> None:
        """Which item stands where, which side is named, table height, looks."""
        wide = shift == 'shift'
        vary_looks(scene, rng, shift, ITEMS)
        self._table_z = table_height(rng, shift)
        place_furniture(scene, 'table', TABLE_X, 0.0, self._table_z)
        order = [ITEMS[i] for i in rng.permutation(len(ITEMS))]
        x_range, y_range = (
            ((0.86, 0.96), (0.068, 0.085)) if wide else ((0.875, 0.945), (0.072, 0.082))
        )
        slack = np.array([0.014, 0.009]) if wide else np.array([0.008, 0.006])
        for i, side in enumerate(SIDES):
            sign, wrong, right = _SIGN[side], order[2 * i], order[2 * i + 1]
            tray = np.array(
                [rng.uniform(0.89, 0.94), sign * rng.uniform(0.197, 0.203), self._table_z]
            )
            returns = np.array(
                [rng.uniform(0.90, 0.93), sign * rng.uniform(0.358, 0.364), self._table_z]
            )
            place_furniture(scene, f'tray_{side}', *tray)
            place_furniture(scene, f'returns_{side}', *returns)
            self.corners[side] = Corner(side, wrong, right, tray, returns)
            in_tray = tray[:2] + rng.uniform(-slack, slack, 2)
            self._stand(scene, wrong, in_tray, self._table_z + _TRAY_FLOOR, rng)
            beside = np.array([rng.uniform(*x_range), sign * rng.uniform(*y_range)])
            self._stand(scene, right, beside, self._table_z, rng)
        self.side = SIDES[int(rng.integers(2))]
        self.instruction = self.phrase(rng, shift).format(
            item=self.target.words, wrong=self.corner.wrong.words, hand=_HAND[self.side]
        )

    def success(self, scene: Scene) -> bool:
        """The right item is in the tray and the wrong one in the returns bin, let go and slower than 0.5 m/s."""
        return self._done(scene, self.corner)

    def stages_done(self, scene: Scene) -> int:
        """The wrong one is out once it lies in the returns bin and the hand has let go of it.

        Until then it counts as grasped while the hand holds it or it falls into that bin.
        """
        corner = self.corner
        if not self._out(scene, corner):
            off = np.abs(scene.position(corner.wrong.name) - corner.returns)[:2].max()
            return int(off < BIN_INNER_HALF or self._grasp(scene, self.side, corner.wrong).held)
        if self._grasp(scene, self.side, corner.right).held:
            return 3
        if not self.in_tray(scene, corner.right.name):
            return 2
        return 4 if self.success(scene) else 3

    def label(self, scene: Scene) -> npt.NDArray[np.float32]:
        """The named item, its tray, the wrong item, its bin, and every item: centres and centres of floors."""
        corner = self.corner
        both = [scene.position(corner.right.name), corner.tray]
        away = [scene.position(corner.wrong.name), corner.returns]
        everything = [scene.position(kind.name) for kind in ITEMS]
        return np.concatenate(both + away + everything).astype(np.float32)

    def waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint:
        """Bring the wrong one to the returns, then the right one to the tray; then leave."""
        return self._waypoint_for(scene, self.corner, aim)

    def wrong_waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint | None:
        """The same on the other side."""
        other = self._other()
        return None if self._done(scene, other) else self._waypoint_for(scene, other, aim)

    def held(self, scene: Scene) -> bool:
        """Whether the hand of its side holds the wrong or the right item."""
        return any(self._grasp(scene, self.side, kind).held for kind in self._both(self.corner))

    def lost(self, scene: Scene) -> bool:
        """Whether the wrong or the right item is off the table or beyond the reach of the hand."""
        return not all(self._reachable(scene, kind) for kind in self._both(self.corner))

    def holds_wrong(self, scene: Scene) -> bool:
        """Whether the other hand has lifted an item of its own side."""
        other = self._other()
        return any(
            scene.position(kind.name)[2] > self._table_z + kind.half_height + 0.025
            and self._grasp(scene, other.side, kind).held
            for kind in self._both(other)
        )

    def dropped(self, scene: Scene) -> bool:
        """An item near the hand is not over its place."""
        corner, tool = self.corner, scene.tcp(self.side)
        return any(
            np.linalg.norm(scene.position(kind.name)[:2] - tool[:2]) < 0.10
            and np.abs(scene.position(kind.name) - place)[:2].max() > half
            for kind, place, half in (
                (corner.wrong, corner.returns, BIN_INNER_HALF),
                (corner.right, corner.tray, TRAY_INNER_HALF),
            )
        )

    def danger(self, scene: Scene) -> bool:
        """A hand pressed on the table."""
        return hand_on_table(scene, self._table_z)

    def in_tray(self, scene: Scene, name: str) -> bool:
        """Whether an item's centre is inside the tray of the side that the instruction is about."""
        return self._inside(scene, name, self.corner.tray, TRAY_INNER_HALF)

    def _waypoint_for(self, scene: Scene, corner: Corner, aim: Aim) -> Waypoint:
        side, high = corner.side, self._table_z + 0.115
        wrong = self._grasp(scene, side, corner.wrong)
        if wrong.held:
            centre = scene.position(corner.wrong.name)
            return carry(scene, side, centre, corner.returns + aim.goal, high, yaw=wrong.yaw)
        right = self._grasp(scene, side, corner.right)
        if right.held:
            floor = corner.tray[2] + _TRAY_FLOOR + corner.right.half_height
            return carry(
                scene,
                side,
                scene.position(corner.right.name),
                corner.tray + aim.goal,
                high,
                yaw=right.yaw,
                release=floor + 0.004,
            )
        if not self._out(scene, corner):
            return self._take(scene, side, wrong, aim)
        if self._inside(scene, corner.right.name, corner.tray, TRAY_INNER_HALF):
            return leave(scene, side, self._table_z + 0.16)
        return self._take(scene, side, right, aim)

    def _take(self, scene: Scene, side: str, grasp: Grasp, aim: Aim) -> Waypoint:
        """Pick an item; a hand that comes from beside it flies over what stands between."""
        tool = scene.tcp(side)
        point = grasp.point + aim.item
        over = abs(tool[1] - point[1]) > _BESIDE_M and tool[0] > TABLE_EDGE_X
        if not over:
            return pick(scene, side, point, grasp.width, yaw=grasp.yaw)
        goal = np.array([point[0] - 0.05, point[1], self._table_z + _FLY_M])
        if tool[2] < self._table_z + _FLY_M - 0.03:
            goal[:2] = tool[:2] + np.clip(goal[:2] - tool[:2], -0.02, 0.02)
        return Waypoint('reach', {side: HandGoal(goal, grasp_axes(side, GRASP_TILT_RAD), 0.0)})

    def _done(self, scene: Scene, corner: Corner) -> bool:
        return (
            self._out(scene, corner)
            and self._inside(scene, corner.right.name, corner.tray, TRAY_INNER_HALF)
            and scene.gap(corner.side) > 2 * corner.right.half_width + 0.008
            and all(scene.speed(kind.name) < 0.5 for kind in self._both(corner))
        )

    def _out(self, scene: Scene, corner: Corner) -> bool:
        """Whether the wrong item is in the returns bin and let go."""
        inside = self._inside(scene, corner.wrong.name, corner.returns, BIN_INNER_HALF)
        return inside and not self._grasp(scene, corner.side, corner.wrong).held

    def _inside(self, scene: Scene, name: str, place: Array, half: float) -> bool:
        centre = scene.position(name)
        within = np.abs(centre - place)[:2].max() < half
        return bool(within and 0.0 < centre[2] - place[2] < 0.075)

    def _reachable(self, scene: Scene, kind: ItemKind) -> bool:
        x, y, z = scene.position(kind.name) * (1.0, _SIGN[self.side], 1.0)
        return bool(z > self._table_z - 0.02 and 0.82 < x < 1.02 and 0.0 < y < 0.45)

    def _other(self) -> Corner:
        return self.corners['r' if self.side == 'l' else 'l']

    def _both(self, corner: Corner) -> tuple[ItemKind, ItemKind]:
        return corner.wrong, corner.right

    def _grasp(self, scene: Scene, side: str, kind: ItemKind) -> Grasp:
        return find_grasp(scene, side, kind.name, kind.half_sizes, kind.shape)

    def _stand(
        self, scene: Scene, kind: ItemKind, where: Array, z: float, rng: np.random.Generator
    ) -> None:
        at = np.array([where[0], where[1], z + kind.half_height + 0.001])
        scene.place(kind.name, at, rng.uniform(-0.2, 0.2))


def _tray_xml(name: str) -> str:
    inner, height, thick = TRAY_INNER_HALF, _TRAY_WALL / 2, 0.004
    boxes = ''.join(
        f'<geom type="box" size="{sx} {sy} {sz}" pos="{x} {y} {sz}" rgba="0.92 0.93 0.95 1" {FURNITURE_CONTACT}/>'
        for x, y, sx, sy, sz in (
            (0, 0, inner, inner, _TRAY_FLOOR / 2),
            (inner + thick, 0, thick, inner + 2 * thick, height),
            (-inner - thick, 0, thick, inner + 2 * thick, height),
            (0, inner + thick, inner, thick, height),
            (0, -inner - thick, inner, thick, height),
        )
    )
    return f'<body name="{name}" pos="0.92 0.21 {TABLE_TOP_Z}">{boxes}</body>'
