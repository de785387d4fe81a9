"""Tea: scoop tea from the tin, tip it into the kettle, pour the kettle into the cup, serve the cup on the tray.

The tea is a few beads (``beads``). A simplification: the scoop stands filled in the tin; it is drawn out, not pushed
through loose leaves.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lwd_sim.robot.g1_model import FURNITURE_CONTACT, NO_CONTACT
from lwd_sim.tasks.base import TRUE_AIM, Aim, HandGoal, Shift, Task, Waypoint
from lwd_sim.tasks.beads import Beads, Vessel, beads_xml, cup_xml, vary_vessel
from lwd_sim.tasks.pouring import (
    POUR_BODY_POSE,
    POUR_YAW_RAD,
    back_off,
    holds,
    pour,
    put,
    take,
    upright,
)
from lwd_sim.tasks.scene import SIDES, Scene
from lwd_sim.tasks.tabletop import (
    TABLE_X,
    hand_on_table,
    place_furniture,
    table_height,
    table_xml,
    vary_looks,
)

SCOOP = Vessel(
    'scoop', 'scoop', (0.75, 0.76, 0.80), 0.022, 0.045, handle=True, grip_z=0.062, mass=0.12
)
KETTLE = Vessel('kettle', 'kettle', (0.80, 0.15, 0.12), 0.030, 0.065, handle=True)
CUP = Vessel('cup', 'cup', (0.92, 0.92, 0.95), 0.032, 0.055, handle=True)
VESSELS = (SCOOP, KETTLE, CUP)
BEADS = 6
ENOUGH = 4  # beads that make a cup of tea
TEA_RGBA = '0.20 0.42 0.12 1'
TRAY_HALF = 0.065  # m
_TRAY_TOP = 0.008  # m
_TIN_FLOOR = 0.006  # m
_TIN_INNER = 0.045  # m
_TRAVEL_M = 0.065  # above the table, of a foot that is carried
_SIDE = {'scoop': 'l', 'kettle': 'l', 'cup': 'r'}
_GRIP_XY = {'scoop': (0.915, 0.295), 'kettle': (0.920, 0.085), 'cup': (0.920, -0.120)}
_TRAY_XY = (0.965, -0.285)


class Tea(Task):
    """Tin, kettle, cup and tray from left to right; the left hand brews, the right hand serves."""

    name: ClassVar[str] = 'tea'
    time_limit_s: ClassVar[float] = 40.0
    error_scale: ClassVar[float] = 0.2
    body_pose: ClassVar[dict[str, float]] = POUR_BODY_POSE
    stages: ClassVar[tuple[str, ...]] = (
        'tea scooped',
        'tea in the kettle',
        'kettle lifted',
        'tea in the cup',
        'cup served',
    )
    phrases: ClassVar[tuple[str, ...]] = (
        'make a cup of tea and serve it on the tray',
        'scoop tea into the kettle, pour it into the cup and put the cup on the tray',
        'brew tea in the red kettle and serve the cup',
        'prepare tea: scoop, kettle, cup, tray',
    )
    held_out_phrases: ClassVar[tuple[str, ...]] = (
        'I would like some tea: brew it and leave the cup on the tray for me',
        'fill the kettle from the tea tin, fill the cup from the kettle, and bring it to the tray',
    )
    label_names: ClassVar[tuple[str, ...]] = (
        *(f'{thing}.{axis}' for thing in ('item', 'goal') for axis in 'xyz'),
        *(f'{vessel.name}.{axis}' for vessel in (SCOOP, KETTLE) for axis in 'xyz'),
        *(f'tea.{axis}' for axis in 'xyz'),
    )

    def __init__(self) -> None:
        super().__init__()
        self.beads = Beads('tea', BEADS)
        self._spots = {vessel.name: np.zeros(3) for vessel in VESSELS}
        self._tray = np.zeros(3)
        self._table_z = 0.0

    @property
    def target_bodies(self) -> tuple[str, ...]:
        """The cup that is served."""
        return (CUP.name,)

    def scene_xml(self) -> str:
        """Table, tin, tray, three vessels, the tea."""
        vessels = ''.join(cup_xml(vessel) for vessel in VESSELS)
        return table_xml() + _TIN_XML + _TRAY_XML + vessels + beads_xml('tea', BEADS, TEA_RGBA)

    def randomise(self, scene: Scene, rng: np.random.Generator, shift: Shift) -> None:
        """Where everything stands, table height, looks, masses."""
        wide = shift == 'shift'
        vary_looks(scene, rng, shift, ())
        self._table_z = table_height(rng, shift)
        place_furniture(scene, 'table', TABLE_X, 0.0, self._table_z)
        spread = 0.016 if wide else 0.010
        for vessel in VESSELS:
            vary_vessel(scene, rng, shift, vessel)
            side = _SIDE[vessel.name]
            yaw = POUR_YAW_RAD[side] + rng.uniform(-0.12, 0.12)
            grip = np.array(_GRIP_XY[vessel.name]) + rng.uniform(-spread, spread, 2)
            foot = grip + vessel.reach_m * np.array([np.cos(yaw), np.sin(yaw)])
            floor = self._table_z + (_TIN_FLOOR if vessel is SCOOP else 0.0)
            self._spots[vessel.name] = np.array([*foot, floor])
            scene.place(vessel.name, self._spots[vessel.name] + [0.0, 0.0, 0.001], yaw)
        x, y, _ = self._spots['scoop']
        place_furniture(scene, 'tin', x, y, self._table_z)
        x, y = np.array(_TRAY_XY) + rng.uniform(-spread, spread, 2)
        place_furniture(scene, 'tray', x, y, self._table_z)
        self._tray = np.array([x, y, self._table_z + _TRAY_TOP])
        self.beads.fill(scene, SCOOP)
        self.instruction = self.phrase(rng, shift)

    def success(self, scene: Scene) -> bool:
        """The cup stands on the tray with enough tea, let go and at rest."""
        return (
            self._on_tray(scene)
            and not holds(scene, 'r', CUP)
            and not holds(scene, 'l', CUP)
            and scene.speed('cup') < 0.1
            and self.beads.inside(scene, CUP) >= ENOUGH
        )

    def stages_done(self, scene: Scene) -> int:
        """Scooped: enough tea is out of the tin, high above the table; it counts as there while it falls."""
        table = self._table_z
        if self.beads.inside(scene, CUP) >= ENOUGH:
            return 5 if self.success(scene) else 4
        high = self.beads.positions(scene)[:, 2] > table + _TRAVEL_M
        brewed = self.beads.inside(scene, KETTLE) + self.beads.inside(scene, CUP)
        if self._lifted(scene, KETTLE) and np.sum(high) >= ENOUGH:
            return 3
        if brewed >= ENOUGH:
            return 3 if self._lifted(scene, KETTLE) else 2
        low_in_kettle = 0 if self._lifted(scene, KETTLE) else self.beads.inside(scene, KETTLE)
        return int(np.sum(high) + low_in_kettle >= ENOUGH)

    def label(self, scene: Scene) -> npt.NDArray[np.float32]:
        """Foot of the cup, middle of the tray, feet of scoop and kettle, and the middle of the tea."""
        tea = np.median(self.beads.positions(scene), axis=0)
        feet = [scene.position(name) for name in ('scoop', 'kettle')]
        return np.concatenate([scene.position('cup'), self._tray, *feet, tea]).astype(np.float32)

    def waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint:
        """What the hands hold decides; with empty hands, what is still to be filled."""
        for vessel in VESSELS:
            side = next((side for side in SIDES if holds(scene, side, vessel)), None)
            if side is not None:
                return self._use(scene, side, vessel, aim)
        wanted = self._wanted(scene)
        side = _SIDE[wanted.name]
        around = tuple(vessel for vessel in VESSELS if vessel is not wanted)
        hands: dict[str, HandGoal] = {}
        for each in SIDES:
            near = around if each == side else VESSELS
            away = back_off(scene, each, near, wanted if each == side else None)
            if away is not None:
                hands[each] = away
        if side in hands or self.success(scene):
            return Waypoint('leave', hands)
        picked = take(scene, side, wanted, aim.item)
        return Waypoint(picked.stage, {**hands, **picked.hands})

    def held(self, scene: Scene) -> bool:
        """Whether the hand that should holds the vessel that is needed next."""
        vessel = self._wanted(scene)
        return holds(scene, _SIDE[vessel.name], vessel)

    def lost(self, scene: Scene) -> bool:
        """Whether too much tea is spilt, or a vessel that is still needed has fallen or is out of reach."""
        usable = sum(self.beads.inside(scene, vessel) for vessel in self._needed(scene))
        in_flight = int(np.sum(self.beads.positions(scene)[:, 2] > self._table_z + 0.03))
        if max(usable, in_flight) < ENOUGH:
            return True
        return any(self._gone(scene, vessel) for vessel in self._needed(scene))

    def dropped(self, scene: Scene) -> bool:
        """Whether a vessel lies, or stands neither at its place nor on the tray."""
        return any(
            not upright(scene, vessel)
            or np.linalg.norm(scene.position(vessel.name) - self._spots[vessel.name]) > 0.05
            for vessel in VESSELS
            if not (vessel is CUP and self._on_tray(scene))
        )

    def danger(self, scene: Scene) -> bool:
        """A hand pressed on the table."""
        return hand_on_table(scene, self._table_z)

    def _use(self, scene: Scene, side: str, vessel: Vessel, aim: Aim) -> Waypoint:
        """What a hand does with the vessel that it holds; one that is not needed now goes back to its place."""
        enough = self.beads.inside(scene, CUP) >= ENOUGH
        full = self.beads.inside(scene, vessel) > 0
        if vessel is SCOOP and full:
            return pour(scene, side, SCOOP, KETTLE, 1.0, aim.goal)
        if vessel is KETTLE and full and self.beads.inside(scene, SCOOP) < ENOUGH:
            return pour(scene, side, KETTLE, CUP, 1.0, aim.goal)
        spot = self._spots[vessel.name]
        if vessel is CUP and enough:
            spot = self._tray + aim.goal * [1.0, 1.0, 0.0]
        return put(scene, side, vessel, spot, self._table_z + _TRAVEL_M)

    def _wanted(self, scene: Scene) -> Vessel:
        """The vessel to take next."""
        in_cup, in_kettle = self.beads.inside(scene, CUP), self.beads.inside(scene, KETTLE)
        if in_cup >= ENOUGH:
            return CUP
        return KETTLE if in_cup + in_kettle >= ENOUGH else SCOOP

    def _needed(self, scene: Scene) -> tuple[Vessel, ...]:
        return VESSELS[VESSELS.index(self._wanted(scene)) :]

    def _lifted(self, scene: Scene, vessel: Vessel) -> bool:
        up = scene.position(vessel.name)[2] > self._spots[vessel.name][2] + 0.03
        return up and any(holds(scene, side, vessel) for side in SIDES)

    def _on_tray(self, scene: Scene) -> bool:
        off = scene.position('cup') - self._tray
        return bool(
            np.abs(off[:2]).max() < TRAY_HALF and abs(off[2]) < 0.012 and upright(scene, CUP)
        )

    def _gone(self, scene: Scene, vessel: Vessel) -> bool:
        """Whether a vessel is out of reach, or has fallen and is not in a hand."""
        x, y, z = scene.position(vessel.name)
        if not (0.82 < x < 1.08 and abs(y) < 0.42 and z > self._table_z - 0.03):
            return True
        return not upright(scene, vessel) and not any(holds(scene, side, vessel) for side in SIDES)


def _tin_xml() -> str:
    """A low open tin, its body frame the centre of its underside, with a layer of leaves to look at."""
    inner, half = _TIN_INNER, 0.012
    walls = ''.join(
        f'<geom type="box" size="{sx} {sy} {half}" pos="{x} {y} {half}" rgba="0.16 0.30 0.22 1" {FURNITURE_CONTACT}/>'
        for x, y, sx, sy in (
            (inner, 0, 0.003, inner),
            (-inner, 0, 0.003, inner),
            (0, inner, inner, 0.003),
            (0, -inner, inner, 0.003),
        )
    )
    return (
        f'<body name="tin"><geom type="box" size="{inner} {inner} {_TIN_FLOOR / 2}" pos="0 0 {_TIN_FLOOR / 2}" '
        f'rgba="{TEA_RGBA}" {FURNITURE_CONTACT}/>{walls}</body>'
    )


def _tray_xml() -> str:
    """A flat tray, its body frame the centre of its underside."""
    return (
        f'<body name="tray"><geom type="box" size="{TRAY_HALF} {TRAY_HALF} {_TRAY_TOP / 2}" '
        f'pos="0 0 {_TRAY_TOP / 2}" rgba="0.30 0.18 0.09 1" {FURNITURE_CONTACT}/>'
        f'<geom type="cylinder" size="0.042 0.0005" pos="0 0 {_TRAY_TOP}" rgba="0.85 0.72 0.35 1" {NO_CONTACT}/></body>'
    )


_TIN_XML, _TRAY_XML = _tin_xml(), _tray_xml()
