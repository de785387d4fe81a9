"""Handover: one hand takes a bottle, the other takes it over in the middle and puts it into the bin on its side."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lwd_sim.tasks.base import TRUE_AIM, Aim, HandGoal, Shift, Task, Waypoint
from lwd_sim.tasks.grasping import (
    GRASP_TILT_RAD,
    carry,
    find_grasp,
    leave,
    pick,
)
from lwd_sim.tasks.scene import Array, Scene, grasp_axes
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
    ItemKind('red_bottle', 'red bottle', (0.85, 0.10, 0.08), 'cylinder', 0.027, 0.10),
    ItemKind('blue_bottle', 'blue bottle', (0.10, 0.25, 0.85), 'cylinder', 0.027, 0.10),
)
_OTHER = {'l': 'r', 'r': 'l'}
_SIGN = {'l': 1.0, 'r': -1.0}
_HAND = {'l': 'left', 'r': 'right'}
_GIVER_ABOVE = 0.065  # m, the giver's grasp above the item's centre
_TAKER_BELOW = 0.045  # m, the taker's grasp below it
_GIVER_TILT = np.deg2rad(52.0)  # each hand keeps its tilt while it holds: the item stays upright
_TAKER_TILT = np.deg2rad(38.0)
_MEET = (0.90, 0.06)  # m, mirrored to the giver's side: both arms reach this with room to spare
_MEET_HEIGHT = 0.19  # m, of the item's centre over the table
_MEET_YAW = np.deg2rad(42.0)  # each hand comes from its own side
_NEAR_MEETING_M = 0.03
_SLANT_M = 0.007  # an item held at a slant keeps the pads apart by so much more than its width
_WAIT_M = 0.20  # m, from where the taker watches
_CLEAR_M = 0.13


class Handover(Task):
    """One item on a random side that its hand can reach; another, out of reach, is only to look at."""

    name: ClassVar[str] = 'handover'
    time_limit_s: ClassVar[float] = 12.0
    error_scale: ClassVar[float] = 0.5
    stages: ClassVar[tuple[str, ...]] = (
        'reached',
        'grasped',
        'in the other hand',
        'over the bin',
        'in the bin',
    )
    phrases: ClassVar[tuple[str, ...]] = (
        'pass the {item} to your {hand} hand and put it into the {hand} bin',
        'hand the {item} over and place it in the bin on the {hand}',
        'move the {item} to the {hand} bin, from hand to hand',
    )
    held_out_phrases: ClassVar[tuple[str, ...]] = (
        'your {hand} hand should drop the {item} in the {hand} bin: give it over first',
        'swap the {item} across and leave it in the {hand} bin',
    )
    label_names: ClassVar[tuple[str, ...]] = (
        'item.x',
        'item.y',
        'item.z',
        'goal.x',
        'goal.y',
        'goal.z',
    )

    def __init__(self) -> None:
        super().__init__()
        self.target = ITEMS[0]
        self.giver = 'l'
        self._goal = np.zeros(3)
        self._table_z = 0.0

    @property
    def taker(self) -> str:
        """The hand that puts the item into the bin."""
        return _OTHER[self.giver]

    @property
    def target_bodies(self) -> tuple[str, ...]:
        """The named item."""
        return (self.target.name,)

    def scene_xml(self) -> str:
        """Table, two bins, two items."""
        bins = bin_xml('bin_l', '0.20 0.55 0.35 1') + bin_xml('bin_r', '0.20 0.55 0.35 1')
        return table_xml() + bins + ''.join(item_xml(kind) for kind in ITEMS)

    def randomise(self, scene: Scene, rng: np.random.Generator, shift: Shift) -> None:
        """Which item, on which side, table height, looks."""
        wide = shift == 'shift'
        vary_looks(scene, rng, shift, ITEMS)
        self._table_z = table_height(rng, shift)
        place_furniture(scene, 'table', TABLE_X, 0.0, self._table_z)
        self.giver = 'l' if rng.random() < 0.5 else 'r'
        for side in _SIGN:
            at = (rng.uniform(0.90, 0.93), _SIGN[side] * rng.uniform(0.35, 0.362), self._table_z)
            place_furniture(scene, f'bin_{side}', *at)
            if side == self.taker:
                self._goal = np.array(at)
        first = int(rng.integers(2))
        self.target, other = ITEMS[first], ITEMS[1 - first]
        x_range, y_range = ((0.88, 0.95), (0.12, 0.205)) if wide else ((0.89, 0.94), (0.13, 0.20))
        sign = _SIGN[self.giver]
        self._stand(scene, self.target, rng.uniform(*x_range), sign * rng.uniform(*y_range), rng)
        self._stand(scene, other, rng.uniform(1.08, 1.12), rng.uniform(-0.15, 0.15), rng)
        phrase = self.phrase(rng, shift)
        self.instruction = phrase.format(item=self.target.words, hand=_HAND[self.taker])

    def success(self, scene: Scene) -> bool:
        """The item is in the taker's bin, let go and slower than 0.5 m/s."""
        return (
            self._in_bin(scene)
            and scene.gap(self.taker) > 2 * self.target.half_width + 0.008
            and scene.speed(self.target.name) < 0.5
        )

    def stages_done(self, scene: Scene) -> int:
        """Reached: the giver's open hand is around the item."""
        if self._in_bin(scene):
            return 5 if self.success(scene) else 4
        centre = scene.position(self.target.name)
        if self._holds(scene, self.taker):
            if self._holds(scene, self.giver):
                return 2
            return 4 if np.linalg.norm((centre - self._goal)[:2]) < 0.05 else 3
        if self._holds(scene, self.giver):
            return 2
        grip = self._on_axis(scene, scene.tcp(self.giver))
        return int(np.linalg.norm(scene.tcp(self.giver) - grip) < 0.035)

    def label(self, scene: Scene) -> npt.NDArray[np.float32]:
        """Centre of the item and of the floor of its bin."""
        return np.concatenate([scene.position(self.target.name), self._goal]).astype(np.float32)

    def waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint:
        """Take, bring to the middle, let the other hand take it, let go, carry, release."""
        giver_holds, taker_holds = (
            self._holds(scene, self.giver),
            self._holds(scene, self.taker),
        )
        centre = scene.position(self.target.name)
        if taker_holds and (not giver_holds or self._grips(scene, self.taker)):
            return self._bring(scene, centre, aim, giver_holds)
        if giver_holds:
            return self._offer(scene, centre, aim)
        if np.abs(centre - self._goal)[:2].max() < BIN_INNER_HALF:
            return leave(scene, self.taker, self._table_z + 0.2)
        lying = abs(scene.axes(self.target.name)[2, 2]) < 0.9
        mine = centre[1] * _SIGN[self.giver] > -0.04
        side = self.giver if mine else self.taker  # it fell on the other side: no need to pass it
        grasp = find_grasp(
            scene, side, self.target.name, self.target.half_sizes, self.target.shape
        )
        point = grasp.point + np.array([0.0, 0.0, 0.0 if lying or not mine else _GIVER_ABOVE])
        tilt = _GIVER_TILT if mine and not lying else GRASP_TILT_RAD
        return pick(scene, side, point + aim.item, grasp.width, yaw=grasp.yaw, tilt=tilt)

    def held(self, scene: Scene) -> bool:
        """Whether either hand holds the item."""
        return self._holds(scene, self.giver) or self._holds(scene, self.taker)

    def lost(self, scene: Scene) -> bool:
        """Whether the item is off the table or beyond the reach of both hands."""
        x, y, z = scene.position(self.target.name)
        return not (z > self._table_z - 0.02 and 0.80 < x < 1.03 and abs(y) < 0.45)

    def dropped(self, scene: Scene) -> bool:
        """Not over its bin."""
        centre = scene.position(self.target.name)
        return bool(np.abs(centre - self._goal)[:2].max() > BIN_INNER_HALF)

    def danger(self, scene: Scene) -> bool:
        """A hand pressed on the table."""
        return hand_on_table(scene, self._table_z)

    def _offer(self, scene: Scene, centre: Array, aim: Aim) -> Waypoint:
        """The giver brings the item to the middle; the taker waits beside it, then takes it."""
        giver, taker = self.giver, self.taker
        side = _SIGN[giver]
        meet = np.array([_MEET[0], side * _MEET[1], self._table_z + _MEET_HEIGHT])
        tool = scene.tcp(giver)
        grip = tool - centre
        mine = grasp_axes(taker, _TAKER_TILT, side * _MEET_YAW)
        below = -_TAKER_BELOW * scene.axes(self.target.name)[:, 2]
        wait = meet + np.array([0.0, 0.0, -_TAKER_BELOW]) - _WAIT_M * mine[:, 2]
        waiting = HandGoal(wait + aim.item, mine, 0.0)
        if centre[2] < meet[2] - 0.05 and abs(centre[1] - meet[1]) > 0.05:
            up = np.array([centre[0], centre[1], meet[2]])
            lift = HandGoal(up + grip, grasp_axes(giver, _GIVER_TILT), 1.0)
            return Waypoint('lift', {giver: lift, taker: waiting})
        at = meet + np.array([0.0, 0.0, _GIVER_ABOVE])
        offer = HandGoal(at, grasp_axes(giver, _GIVER_TILT, -side * _MEET_YAW), 1.0)
        if np.linalg.norm(tool - at) > _NEAR_MEETING_M:
            return Waypoint('offer', {giver: offer, taker: waiting})
        take = pick(
            scene,
            taker,
            centre + below + aim.item,
            2 * self.target.half_width,
            yaw=side * _MEET_YAW,
            tilt=_TAKER_TILT,
            entry=tuple(-0.12 * mine[:, 2]),
            turned_rad=0.5,
            speed=0.6,
            lead=0.02,
        )
        return Waypoint('take', {giver: offer, **take.hands})

    def _bring(self, scene: Scene, centre: Array, aim: Aim, giver_holds: bool) -> Waypoint:
        """The giver lets go and backs off; then the taker carries the item to its bin."""
        giver, taker = self.giver, self.taker
        apart = np.linalg.norm(scene.tcp(giver) - self._on_axis(scene, scene.tcp(giver)))
        if giver_holds or apart < _CLEAR_M:
            back = scene.tool_axes(giver)
            width = 2 * self.target.half_width
            open_enough = scene.gap(giver) > width + 0.02
            away = scene.tcp(giver) - (0.08 if open_enough else 0.0) * back[:, 2]
            still = HandGoal(scene.tcp(taker), scene.tool_axes(taker), 1.0)
            return Waypoint('let go', {giver: HandGoal(away, back, 0.0), taker: still})
        travel = self._table_z + self.target.half_height + 0.075
        goal = self._goal + aim.goal
        return carry(scene, taker, centre, goal, travel, tilt=_TAKER_TILT, release=travel - 0.045)

    def _on_axis(self, scene: Scene, point: Array) -> Array:
        """The point of the item's long axis nearest to ``point`` (3,)."""
        centre, up = scene.position(self.target.name), scene.axes(self.target.name)[:, 2]
        half = self.target.half_height - 0.01
        along = float(np.clip((point - centre) @ up, -half, half))
        return centre + along * up

    def _holds(self, scene: Scene, side: str) -> bool:
        return scene.holds(
            side, self._on_axis(scene, scene.tcp(side)), 2 * self.target.half_width + _SLANT_M
        )

    def _grips(self, scene: Scene, side: str) -> bool:
        """Whether a hand that holds the item has closed on it."""
        return scene.gap(side) < 2 * self.target.half_width + _SLANT_M

    def _in_bin(self, scene: Scene) -> bool:
        centre = scene.position(self.target.name)
        inside = np.abs(centre - self._goal)[:2].max() < BIN_INNER_HALF + 0.015
        return bool(inside and 0.0 < centre[2] - self._goal[2] < self.target.half_height + 0.03)

    def _stand(
        self, scene: Scene, kind: ItemKind, x: float, y: float, rng: np.random.Generator
    ) -> None:
        at = np.array([x, y, self._table_z + kind.half_height + 0.001])
        scene.place(kind.name, at, rng.uniform(-0.15, 0.15))
