"""Cooler: a hand pulls the glass door of a small cooler open, takes the named item out and stands it on the mat."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lwd_sim.robot.g1_model import NO_CONTACT
from lwd_sim.tasks.base import TRUE_AIM, Aim, HandGoal, Shift, Task, Waypoint
from lwd_sim.tasks.grasping import Grasp, carry, leave, pick
from lwd_sim.tasks.joinery import (
    COOLER_DEPTH,
    COOLER_INNER_HALF,
    DOOR_TOP_Z,
    HANDLE_WIDTH,
    cooler_xml,
    fitting_grasp,
    handle_offset,
    reach_tilt,
)
from lwd_sim.tasks.scene import Array, Scene, grasp_axes
from lwd_sim.tasks.tabletop import (
    TABLE_TOP_Z,
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
    ItemKind('cola', 'cola can', (0.85, 0.10, 0.08), 'cylinder', 0.026, 0.036),
    ItemKind('lemonade', 'lemonade can', (0.92, 0.80, 0.08), 'cylinder', 0.026, 0.036),
    ItemKind('milk', 'milk carton', (0.10, 0.25, 0.85), 'box', 0.024, 0.036),
)
_SIGN = {'l': 1.0, 'r': -1.0}
MAT_HALF = 0.055  # m
OPEN_ENOUGH_RAD = 1.15  # the hand passes
_PULL_TO_RAD = 1.40
_STEP_RAD = 0.28  # how far ahead on its arc a held handle is pulled
_SLANT_M = 0.006  # m: a bar pulled askew keeps the pads apart by so much more than its width
_AJAR = 0.48  # of the gripper, around the bar: a finger fits between bar and door
_FLOOR_Z = 0.012  # m, the cooler's floor over the table
_LIFT_Z = 0.016  # m, over the floor, while an item comes out
_TRAVEL_Z = 0.115  # m over the table: the item's centre on its way to the mat
_OUT_X = -0.075  # m, from the front: so far the item is drawn straight out
_STANDOFF_M = 0.075  # from an item, where its last straight approach begins
_LEAD_M = 0.05  # how far ahead the hand aims on its way in
_VIA_X, _VIA_Z = 0.86, 0.21  # m: before the cooler, above its items, from where the hand goes in
_PARKED = (0.0, 0.0, -5.0)  # m: the cooler that opens to the other side is out of sight


class Cooler(Task):
    """The cooler stands on a random side, its door hinged outside; the hand of that side does everything."""

    name: ClassVar[str] = 'cooler'
    time_limit_s: ClassVar[float] = 18.0
    error_scale: ClassVar[float] = 0.6
    stages: ClassVar[tuple[str, ...]] = ('door open', 'item grasped', 'item out', 'on the mat')
    phrases: ClassVar[tuple[str, ...]] = (
        'take the {item} out of the cooler and put it on the mat',
        'pull the cooler open and bring the {item} to the mat',
        'open the door, get the {item}, and set it down on the mat',
    )
    held_out_phrases: ClassVar[tuple[str, ...]] = (
        'I would like the {item} from the cooler, here on the mat please',
        'fetch a cold {item}: leave it on the mat in front',
    )
    label_names: ClassVar[tuple[str, ...]] = tuple(
        f'{thing}.{axis}' for thing in ('item', 'goal', 'handle') for axis in 'xyz'
    )

    def __init__(self) -> None:
        super().__init__()
        self.target, self.other = ITEMS[0], ITEMS[1]
        self.side = 'l'
        self._front = np.zeros(3)  # of the cooler: the middle of its front on the table
        self._mat = np.zeros(3)

    @property
    def target_bodies(self) -> tuple[str, ...]:
        """The named item."""
        return (self.target.name,)

    def scene_xml(self) -> str:
        """Table, mat, a cooler for either side, three items."""
        mat = (
            f'<body name="mat" pos="0.9 0 {TABLE_TOP_Z}"><geom type="box" pos="0 0 0.001" '
            f'size="{MAT_HALF} {MAT_HALF} 0.001" rgba="0.15 0.45 0.30 1" {NO_CONTACT}/></body>'
        )
        coolers = ''.join(cooler_xml(f'cooler_{side}', sign) for side, sign in _SIGN.items())
        return table_xml() + mat + coolers + ''.join(item_xml(kind) for kind in ITEMS)

    def randomise(self, scene: Scene, rng: np.random.Generator, shift: Shift) -> None:
        """Which side, which two items inside, where, table height, looks; the third item stands behind."""
        wide = shift == 'shift'
        vary_looks(scene, rng, shift, ITEMS)
        table = table_height(rng, shift)
        place_furniture(scene, 'table', TABLE_X, 0.0, table)
        self.side = 'l' if rng.random() < 0.5 else 'r'
        sign, off = self._sign, 0.010 if wide else 0.005
        x, y = 0.982 + rng.uniform(-off, off), 0.195 + rng.uniform(-off, off)
        self._front = np.array([x, sign * y, table])
        for side in _SIGN:
            place_furniture(
                scene, f'cooler_{side}', *(self._front if side == self.side else _PARKED)
            )
        x, y = 0.905 + rng.uniform(-off, off), 0.10 + rng.uniform(-off, off)
        self._mat = np.array([x, sign * y, table])
        place_furniture(scene, 'mat', *self._mat)
        order = [ITEMS[i] for i in rng.permutation(len(ITEMS))]
        for kind, aside in ((order[0], -0.057), (order[1], 0.045)):
            deep = 0.055 + rng.uniform(-1, 1) * (0.010 if wide else 0.006)
            aside += rng.uniform(-1, 1) * (0.005 if wide else 0.003)
            at = self._front + np.array([deep, sign * aside, _FLOOR_Z])
            self._stand(scene, kind, at, rng.uniform(-0.15, 0.15))
        behind = np.array([rng.uniform(1.05, 1.15), -sign * rng.uniform(0.15, 0.30), table])
        self._stand(scene, order[2], behind, rng.uniform(-0.5, 0.5))
        named = int(rng.integers(2))
        self.target, self.other = order[named], order[1 - named]
        self.instruction = self.phrase(rng, shift).format(item=self.target.words)

    def success(self, scene: Scene) -> bool:
        """The named item is on the mat, let go and at rest."""
        return (
            self.on_mat(scene, self.target)
            and not self.held(scene)
            and scene.speed(self.target.name) < 0.05
        )

    def stages_done(self, scene: Scene) -> int:
        """The door counts by itself; an item that is out counts wherever it is on the table."""
        if self._is_out(scene.position(self.target.name)):
            return 4 if self.success(scene) else 3
        if self._door(scene) < OPEN_ENOUGH_RAD:
            return 0
        return 2 if self.held(scene) else 1

    def label(self, scene: Scene) -> npt.NDArray[np.float32]:
        """Centre of the named item, of the mat, and the door's handle."""
        handle = self._handle(self._door(scene))
        return np.concatenate([scene.position(self.target.name), self._mat, handle]).astype(
            np.float32
        )

    def waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint:
        """Pull the door, take the item, bring it to the mat; then leave."""
        return self._waypoint_for(scene, self.target, aim)

    def wrong_waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint | None:
        """The same with the other item."""
        if self.on_mat(scene, self.other) and not self._grasp(scene, self.other).held:
            return None
        return self._waypoint_for(scene, self.other, aim)

    def held(self, scene: Scene) -> bool:
        """Whether the hand of its side holds the named item."""
        return self._grasp(scene, self.target).held

    def lost(self, scene: Scene) -> bool:
        """Whether the named item is off the table or beyond the reach of its hand."""
        x, y, z = scene.position(self.target.name)
        far = self._front[0] + (0.09 if self._is_in(scene.position(self.target.name)) else 0.02)
        return not (z > self._front[2] - 0.02 and 0.80 < x < far and 0.02 < y * self._sign < 0.42)

    def holds_wrong(self, scene: Scene) -> bool:
        """Whether the hand has the other item."""
        lifted = scene.position(self.other.name)[2] - self._front[2] - self.other.half_height
        return lifted > _FLOOR_Z + 0.008 and self._grasp(scene, self.other).held

    def dropped(self, scene: Scene) -> bool:
        """Not on the mat."""
        return not self.on_mat(scene, self.target)

    def danger(self, scene: Scene) -> bool:
        """A hand pressed on the table."""
        return hand_on_table(scene, self._front[2])

    def on_mat(self, scene: Scene, kind: ItemKind) -> bool:
        """Whether an item stands or lies on the mat."""
        offset = scene.position(kind.name) - self._mat
        return bool(
            np.abs(offset[:2]).max() < MAT_HALF and 0.0 < offset[2] < kind.half_height + 0.015
        )

    @property
    def _sign(self) -> float:
        return _SIGN[self.side]

    def _waypoint_for(self, scene: Scene, kind: ItemKind, aim: Aim) -> Waypoint:
        tcp = scene.tcp(self.side)
        if tcp[2] < self._front[2]:  # under the table
            return Waypoint('home')
        grasp, centre = self._grasp(scene, kind), scene.position(kind.name)
        if grasp.held:
            return self._bring(scene, kind, self._mat + aim.goal)
        if self.on_mat(scene, kind):
            return leave(scene, self.side, self._front[2] + 0.15)
        other = self.other if kind is self.target else self.target
        if self._grasp(scene, other).held:  # stands aside, so that the mat stays free
            return self._bring(
                scene, other, self._mat + np.array([-0.03, self._sign * 0.115, 0.0])
            )
        if self._is_in(centre):
            opening = self._open(scene, aim)
            if opening is not None:
                return opening
        tilt = reach_tilt(grasp.point[0] - 0.03)
        at = grasp.point + aim.item
        standoff = at - _STANDOFF_M * grasp_axes(self.side, tilt, grasp.yaw)[:, 2]
        if self._is_in(centre) and self._is_outside(tcp, standoff):
            return self._enter(tcp, standoff)
        return pick(scene, self.side, at, grasp.width, yaw=grasp.yaw, tilt=tilt)

    def _enter(self, tcp: Array, standoff: Array) -> Waypoint:
        """Go before the item inside, past the open door, then straight in, a little ahead at a time."""
        via = np.array([_VIA_X, standoff[1], self._front[2] + _VIA_Z])
        share = np.clip((tcp[0] + _LEAD_M - via[0]) / (standoff[0] - via[0]), 0.0, 1.0)
        aside = abs(tcp[1] - standoff[1]) > 0.032 - 0.017 * share
        goal = via if aside or self._is_on_roof(tcp) else via + share * (standoff - via)
        axes = grasp_axes(self.side, reach_tilt(goal[0]))
        return Waypoint('reach', {self.side: HandGoal(goal, axes, 0.0)})

    def _open(self, scene: Scene, aim: Aim) -> Waypoint | None:
        """Take the handle and pull it along its arc; None once the door is open and the hand clear of it."""
        side, angle = self.side, self._door(scene)
        handle, tcp = self._handle(angle), scene.tcp(side)
        axes = grasp_axes(side, reach_tilt(tcp[0]))
        if scene.holds(side, handle, HANDLE_WIDTH + _SLANT_M) and angle < _PULL_TO_RAD - 0.04:
            ahead = self._handle(min(angle + _STEP_RAD, _PULL_TO_RAD + 0.03))
            goal = HandGoal(ahead, grasp_axes(side, reach_tilt(ahead[0])), 1.0, 0.75)
            return Waypoint('pull', {side: goal})
        if angle > OPEN_ENOUGH_RAD:
            top = self._front[2] + DOOR_TOP_Z
            if np.linalg.norm((tcp - handle)[:2]) > 0.06 or tcp[2] > top + 0.04:
                return None
            if scene.gap(side) < HANDLE_WIDTH + 0.025:
                return Waypoint('release', {side: HandGoal(tcp, axes, _AJAR)})
            above = np.array([handle[0], handle[1], top + 0.055])
            return Waypoint('leave', {side: HandGoal(above, axes, _AJAR)})
        tilt = reach_tilt(handle[0])
        take = pick(scene, side, handle + 0.5 * aim.item, HANDLE_WIDTH, tilt=tilt)
        hand = take.hands[side]
        return Waypoint(take.stage, {side: replace(hand, gripper=max(hand.gripper, _AJAR))})

    def _bring(self, scene: Scene, kind: ItemKind, to: Array) -> Waypoint:
        """Lift a held item off the cooler's floor, draw it out, carry it to ``to`` (3,) and set it down."""
        side, centre = self.side, scene.position(kind.name)
        grip = scene.tcp(side) - centre
        stands = self._front[2] + kind.half_height
        deep, aside = (centre - self._front)[:2]
        if deep > -0.04 and abs(aside) < COOLER_INNER_HALF:
            low = centre[2] < stands + _FLOOR_Z + _LIFT_Z - 0.008 and self._is_in(centre)
            on = centre.copy()
            on[2] = stands + _FLOOR_Z + _LIFT_Z
            if not low:
                on[0] = max(centre[0] - 0.05, self._front[0] + _OUT_X)
            axes = grasp_axes(side, reach_tilt(on[0] - 0.01))
            return Waypoint('lift' if low else 'draw', {side: HandGoal(on + grip, axes, 1.0)})
        height = self._front[2] + _TRAVEL_Z
        tilt = reach_tilt(to[0])
        return carry(scene, side, centre, to, height, tilt=tilt, release=stands + 0.006)

    def _is_outside(self, tcp: Array, standoff: Array) -> bool:
        """Whether a hand has yet to come before the item: further out, beside the opening, or on the roof."""
        beside = abs(tcp[1] - standoff[1]) > 0.025 and tcp[0] < self._front[0] + 0.01
        return bool(tcp[0] < standoff[0] - 0.015 or beside or self._is_on_roof(tcp))

    def _is_on_roof(self, tcp: Array) -> bool:
        high = tcp[2] > self._front[2] + 0.19
        return bool(high and tcp[0] > self._front[0] - 0.05)

    def _is_in(self, point: Array) -> bool:
        deep, aside = (point - self._front)[:2]
        return bool(-0.02 < deep < COOLER_DEPTH and abs(aside) < COOLER_INNER_HALF)

    def _is_out(self, point: Array) -> bool:
        """On the robot's side of the cooler, over the table."""
        return bool(point[0] < self._front[0] - 0.03 and point[2] > self._front[2])

    def _door(self, scene: Scene) -> float:
        return scene.slide(f'cooler_{self.side}_door')

    def _handle(self, angle: float) -> Array:
        handle: Array = self._front + handle_offset(self._sign, angle)
        return handle

    def _grasp(self, scene: Scene, kind: ItemKind) -> Grasp:
        return fitting_grasp(scene, self.side, kind, (0.0, -0.3, 0.3))

    def _stand(self, scene: Scene, kind: ItemKind, floor: Array, yaw: float) -> None:
        scene.place(kind.name, floor + np.array([0.0, 0.0, kind.half_height + 0.001]), yaw)
