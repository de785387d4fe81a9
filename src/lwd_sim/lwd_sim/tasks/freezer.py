"""Freezer: one hand slides the lid of a chest freezer open, the other puts the named item in, the lid is closed."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lwd_sim.tasks.base import TRUE_AIM, Aim, HandGoal, Shift, Task, Waypoint
from lwd_sim.tasks.grasping import (
    GRASP_TILT_RAD,
    Grasp,
    carry,
    leave,
    pick,
)
from lwd_sim.tasks.joinery import (
    INNER_HALF,
    KNOB_WIDTH,
    KNOB_Y,
    KNOB_Z,
    LID_TRAVEL,
    OPENING_Y,
    TOP_Z,
    chest_xml,
    fitting_grasp,
    let_go,
    pull,
    reach_tilt,
)
from lwd_sim.tasks.scene import Array, Scene, grasp_axes
from lwd_sim.tasks.tabletop import (
    TABLE_X,
    ItemKind,
    hand_on_table,
    item_xml,
    place_furniture,
    table_height,
    table_xml,
    vary_looks,
)

ITEMS = (
    ItemKind('ice_cream', 'ice cream tub', (0.93, 0.45, 0.65), 'cylinder', 0.030, 0.034),
    ItemKind('peas', 'box of peas', (0.15, 0.60, 0.20), 'box', 0.027, 0.036),
    ItemKind('fish', 'box of fish', (0.10, 0.25, 0.85), 'box', 0.027, 0.036),
)
_OTHER = {'l': 'r', 'r': 'l'}
_SIGN = {'l': 1.0, 'r': -1.0}
_OPEN_ENOUGH_M = 0.108
_CLOSED_M = 0.012
_LID_TILT, _LID_YAW = np.deg2rad(60.0), np.deg2rad(22.0)  # each hand leans in from its own side
_ITEM_YAW = np.deg2rad(20.0)
_CHEST_Y = -0.03  # m, of the chest's centre, the items' side positive: in reach of both hands
_TRAVEL_Z = 0.150  # m over the table: the item's centre on its way over the chest's wall
_RELEASE_Z = 0.118


class Freezer(Task):
    """The chest stands in the middle, its opening towards the items; the hand on the other side minds the lid."""

    name: ClassVar[str] = 'freezer'
    time_limit_s: ClassVar[float] = 14.0
    error_scale: ClassVar[float] = 0.7
    stages: ClassVar[tuple[str, ...]] = ('lid open', 'item grasped', 'item in', 'lid closed')
    phrases: ClassVar[tuple[str, ...]] = (
        'put the {item} into the freezer and close it',
        'slide the lid open, put the {item} in, and close the lid',
        'the {item} goes into the freezer; shut the lid afterwards',
    )
    held_out_phrases: ClassVar[tuple[str, ...]] = (
        'could you freeze the {item}? and do not leave the lid open',
        'stow the {item} in the chest freezer, lid shut',
    )
    label_names: ClassVar[tuple[str, ...]] = tuple(
        f'{thing}.{axis}' for thing in ('item', 'goal', 'knob') for axis in 'xyz'
    )

    def __init__(self) -> None:
        super().__init__()
        self.target, self.other = ITEMS[0], ITEMS[1]
        self.side = 'l'  # the hand on the items' side
        self._base = np.zeros(3)  # of the chest: centre of its footprint

    @property
    def lid_side(self) -> str:
        """The hand that minds the lid."""
        return _OTHER[self.side]

    @property
    def target_bodies(self) -> tuple[str, ...]:
        """The named item."""
        return (self.target.name,)

    def scene_xml(self) -> str:
        """Table, chest with a sliding lid, three items."""
        return table_xml() + chest_xml('freezer') + ''.join(item_xml(kind) for kind in ITEMS)

    def randomise(self, scene: Scene, rng: np.random.Generator, shift: Shift) -> None:
        """Which side, which items, where, table height, looks; the third item is out of the way behind."""
        wide = shift == 'shift'
        vary_looks(scene, rng, shift, ITEMS)
        height = table_height(rng, shift)
        place_furniture(scene, 'table', TABLE_X, 0.0, height)
        self.side = 'l' if rng.random() < 0.5 else 'r'
        sign = _SIGN[self.side]
        x, off = ((0.89, 0.91), 0.008) if wide else ((0.895, 0.905), 0.004)
        self._base = np.array([rng.uniform(*x), sign * _CHEST_Y + rng.uniform(-off, off), height])
        place_furniture(scene, 'freezer', *self._base)
        scene.model.body('freezer').quat[:] = (1, 0, 0, 0) if sign > 0 else (0, 0, 0, 1)
        order = [ITEMS[i] for i in rng.permutation(len(ITEMS))]
        x_range = (0.885, 0.955) if wide else (0.895, 0.945)
        first = rng.uniform(0.195, 0.22 if wide else 0.21)
        second = first + rng.uniform(0.118, 0.125)
        for kind, y in ((order[0], first), (order[1], second)):
            self._stand(scene, kind, rng.uniform(*x_range), sign * y, rng)
        self._stand(scene, order[2], rng.uniform(1.12, 1.16), rng.uniform(-0.25, 0.25), rng)
        named = int(rng.integers(2))
        self.target, self.other = order[named], order[1 - named]
        self.instruction = self.phrase(rng, shift).format(item=self.target.words)

    def success(self, scene: Scene) -> bool:
        """The named item is inside and slower than 0.5 m/s, the lid closed, both hands have let go."""
        return (
            self.inside(scene, self.target.name)
            and self._lid(scene) < _CLOSED_M
            and not self.held(scene)
            and not self._holds_knob(scene)
            and scene.speed(self.target.name) < 0.5
        )

    def stages_done(self, scene: Scene) -> int:
        """Lid open counts while the item is on its way; the item in, while the lid is still to be closed."""
        if self.inside(scene, self.target.name):
            return 4 if self.success(scene) else 3
        if self._lid(scene) < _OPEN_ENOUGH_M:
            return 0
        return 2 if self.held(scene) else 1

    def label(self, scene: Scene) -> npt.NDArray[np.float32]:
        """Centre of the named item, of the chest's floor, and the lid's knob."""
        parts = [scene.position(self.target.name), self._goal(), self._knob(self._lid(scene))]
        return np.concatenate(parts).astype(np.float32)

    def waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint:
        """One hand opens the lid and keeps it; the other puts the item in and leaves; the lid closes."""
        return self._waypoint_for(scene, self.target, aim)

    def wrong_waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint | None:
        """The same with the other item."""
        done = self.inside(scene, self.other.name) and self._lid(scene) < _CLOSED_M
        if done and not self._holds_knob(scene):
            return None
        return self._waypoint_for(scene, self.other, aim)

    def held(self, scene: Scene) -> bool:
        """Whether the hand on its side holds the named item."""
        return self._grasp(scene, self.target).held

    def lost(self, scene: Scene) -> bool:
        """Whether the named item is off the table or out of reach, or the other one fills the freezer."""
        x, y, z = scene.position(self.target.name)
        near = 0.82 < x < 1.0 and -0.02 < y * self._sign < 0.42
        full = self.inside(scene, self.other.name) and not self.inside(scene, self.target.name)
        return full or not (near and z > self._base[2] - 0.02)

    def holds_wrong(self, scene: Scene) -> bool:
        """Whether the hand has lifted the other item."""
        height = scene.position(self.other.name)[2] - self._base[2]
        return height > self.other.half_height + 0.02 and self._grasp(scene, self.other).held

    def dropped(self, scene: Scene) -> bool:
        """Not over the opening."""
        return not self._over_opening(scene.position(self.target.name))

    def danger(self, scene: Scene) -> bool:
        """A hand pressed on the table."""
        return hand_on_table(scene, self._base[2])

    def inside(self, scene: Scene, name: str) -> bool:
        """Whether an item's centre is in the chest, below the lid."""
        centre = scene.position(name)
        return self._over_opening(centre) and 0.0 < centre[2] - self._base[2] < TOP_Z - 0.013

    @property
    def _sign(self) -> float:
        return _SIGN[self.side]

    def _waypoint_for(self, scene: Scene, kind: ItemKind, aim: Aim) -> Waypoint:
        if self._is_under_table(scene):
            return Waypoint('home')
        lid, grasp = self._lid(scene), self._grasp(scene, kind)
        if self.inside(scene, kind.name) or self._falls_in(scene, kind, grasp):
            clear = self._is_clear(scene) and not grasp.held
            item = leave(scene, self.side, self._base[2] + 0.20)
            minds = self._move_lid(scene, 0.0 if clear else LID_TRAVEL, aim)
            return Waypoint(minds.stage if clear else item.stage, {**item.hands, **minds.hands})
        minds = self._move_lid(scene, LID_TRAVEL, aim)
        on_top = scene.position(kind.name)[2] > self._base[2] + TOP_Z and not grasp.held
        if lid < _OPEN_ENOUGH_M and not on_top:
            waiting = self._waiting(scene, grasp)
            return Waypoint(minds.stage, {self.side: waiting, **minds.hands})
        item = self._put_in(scene, kind, grasp, aim)
        return Waypoint(item.stage, {**item.hands, **minds.hands})

    def _move_lid(self, scene: Scene, to: float, aim: Aim) -> Waypoint:
        """Take the knob, slide the lid to ``to`` m; keep an open lid in the hand, let go of a closed one."""
        side, lid = self.lid_side, self._lid(scene)
        axes = grasp_axes(side, _LID_TILT, self._sign * _LID_YAW)
        knob = self._knob(lid)
        if to == 0.0 and lid < 0.6 * _CLOSED_M:
            opened = let_go(scene, side, knob, KNOB_WIDTH, axes)
            return opened or leave(scene, side, self._base[2] + 0.22)
        if self._holds_knob(scene):
            beyond = to + (0.006 if to > 0 else -0.006)  # against the stop
            return pull(side, knob, self._knob(beyond), axes)
        return pick(
            scene,
            side,
            knob + 0.5 * aim.item,
            KNOB_WIDTH,
            yaw=self._sign * _LID_YAW,
            tilt=_LID_TILT,
        )

    def _put_in(self, scene: Scene, kind: ItemKind, grasp: Grasp, aim: Aim) -> Waypoint:
        table = float(self._base[2])
        if not grasp.held:
            other = self.other if kind is self.target else self.target
            if self._grasp(scene, other).held:
                return self._put_back(scene, other, scene.position(kind.name))
            tilt = max(GRASP_TILT_RAD, reach_tilt(grasp.point[0] - 0.02))
            at = grasp.point + aim.item
            return pick(scene, self.side, at, grasp.width, yaw=grasp.yaw, tilt=tilt)
        return carry(
            scene,
            self.side,
            scene.position(kind.name),
            self._goal() + aim.goal,
            table + _TRAVEL_Z,
            yaw=-self._sign * _ITEM_YAW,
            release=table + _RELEASE_Z,
        )

    def _put_back(self, scene: Scene, other: ItemKind, beside: Array) -> Waypoint:
        """Stand the other item on the table, away from the one at ``beside`` (3,)."""
        places = [np.array([0.91, self._sign * y, 0.0]) for y in (0.20, 0.33)]
        place = max(places, key=lambda at: float(np.linalg.norm((at - beside)[:2])))
        table, stands = float(self._base[2]), other.half_height + 0.004
        centre = scene.position(other.name)
        return carry(scene, self.side, centre, place, table + _TRAVEL_Z, release=table + stands)

    def _waiting(self, scene: Scene, grasp: Grasp) -> HandGoal:
        """Over the item, or with it beside the chest, until the lid is open."""
        axes = grasp_axes(self.side, GRASP_TILT_RAD, grasp.yaw)
        if grasp.held:
            beside = np.array([0.90, self._sign * 0.21, self._base[2] + _TRAVEL_Z])
            return HandGoal(beside, axes, 1.0)
        return HandGoal(grasp.point + np.array([-0.05, 0.0, 0.11]), axes, 0.0)

    def _falls_in(self, scene: Scene, kind: ItemKind, grasp: Grasp) -> bool:
        over = self._over_opening(scene.position(kind.name))
        return over and not grasp.held and scene.speed(kind.name) > 0.2

    def _is_under_table(self, scene: Scene) -> bool:
        return any(scene.tcp(side)[2] < self._base[2] for side in _SIGN)

    def _is_clear(self, scene: Scene) -> bool:
        """Whether the hand on the items' side is out of the lid's way."""
        tcp = scene.tcp(self.side)
        ahead, aside = np.abs(tcp - self._goal())[:2]
        return bool(tcp[2] > self._base[2] + 0.165 or ahead > 0.11 or aside > 0.14)

    def _over_opening(self, point: Array) -> bool:
        return bool(np.abs(point - self._goal())[:2].max() < INNER_HALF)

    def _goal(self) -> Array:
        floor: Array = self._base + np.array([0.0, self._sign * OPENING_Y, 0.006])
        return floor

    def _knob(self, lid: float) -> Array:
        """Where a hand takes the knob when the lid is ``lid`` m open."""
        knob: Array = self._base + np.array([0.0, self._sign * (KNOB_Y - lid), KNOB_Z])
        return knob

    def _lid(self, scene: Scene) -> float:
        return scene.slide('freezer_lid')

    def _holds_knob(self, scene: Scene) -> bool:
        return scene.holds(self.lid_side, self._knob(self._lid(scene)), KNOB_WIDTH)

    def _grasp(self, scene: Scene, kind: ItemKind) -> Grasp:
        return fitting_grasp(scene, self.side, kind, (0.0, -0.3, 0.3, -0.6, 0.6))

    def _stand(
        self, scene: Scene, kind: ItemKind, x: float, y: float, rng: np.random.Generator
    ) -> None:
        at = np.array([x, y, self._base[2] + kind.half_height + 0.001])
        scene.place(kind.name, at, rng.uniform(-0.15, 0.15))
