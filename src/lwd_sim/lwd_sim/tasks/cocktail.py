"""Cocktail: two measures from jiggers into the shaker, shake it with both hands, pour it into the glass.

The drinks are a few beads (``beads``). Simplifications: both jiggers stand filled, there are no bottles; the shaker
has a handle for each hand and no lid.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lwd_sim.tasks.base import TRUE_AIM, Aim, Shift, Task, Waypoint
from lwd_sim.tasks.beads import Beads, Vessel, beads_xml, cup_xml, vary_vessel
from lwd_sim.tasks.pouring import (
    POUR_BODY_POSE,
    POUR_YAW_RAD,
    back_off,
    hand_roll,
    holds,
    pour,
    put,
    take,
    upright,
)
from lwd_sim.tasks.scene import SIDES, Scene, latch_xml
from lwd_sim.tasks.shaking import (
    HIGH_M,
    LOW_M,
    SHAKER,
    SHAKER_OF,
    SHAKER_YAW,
    in_both_hands,
    join,
    let_go,
    stroke,
    without,
)
from lwd_sim.tasks.tabletop import (
    TABLE_X,
    hand_on_table,
    place_furniture,
    table_height,
    table_xml,
    vary_looks,
)

GIN = Vessel(
    'gin_jigger', 'gin', (0.75, 0.78, 0.85), 0.020, 0.042, handle=True, grip_z=0.040, mass=0.12
)
LIME = Vessel(
    'lime_jigger', 'lime', (0.80, 0.55, 0.20), 0.020, 0.042, handle=True, grip_z=0.040, mass=0.12
)
GLASS = Vessel('glass', 'glass', (0.55, 0.80, 0.88), 0.037, 0.050, mass=0.15)
JIGGERS = (GIN, LIME)
VESSELS = (GIN, LIME, SHAKER, GLASS)
MEASURE = 3  # beads
ENOUGH = 2  # of each measure make a drink
STROKES = 6  # ups and downs
_TRAVEL_M = 0.095  # above the table, of a foot that is carried: higher than the shaker
_SPOTS_XY = {'gin_jigger': (0.960, 0.188), 'lime_jigger': (0.960, 0.308), 'shaker': (0.962, 0.020)}
_GLASS_XY = (0.945, -0.115)


class Cocktail(Task):
    """Jiggers, shaker and glass from left to right; the left hand pours, both hands shake."""

    name: ClassVar[str] = 'cocktail'
    time_limit_s: ClassVar[float] = 60.0
    error_scale: ClassVar[float] = 0.08
    body_pose: ClassVar[dict[str, float]] = POUR_BODY_POSE
    stages: ClassVar[tuple[str, ...]] = (
        'first measure in the shaker',
        'second measure in the shaker',
        'shaker in both hands',
        'shaken',
        'drink in the glass',
        'shaker put down',
    )
    phrases: ClassVar[tuple[str, ...]] = (
        'mix a cocktail of gin and lime',
        'pour both jiggers into the shaker, shake it with both hands and fill the glass',
        'make a gin and lime: two measures, shake, pour',
        'shake a drink from the two jiggers and pour it into the glass',
    )
    held_out_phrases: ClassVar[tuple[str, ...]] = (
        'I fancy a gin with lime, shaken, in that glass',
        'empty the two measures into the shaker, give it a good shake and serve it in the glass',
    )
    label_names: ClassVar[tuple[str, ...]] = (
        *(f'{thing}.{axis}' for thing in ('item', 'goal') for axis in 'xyz'),
        *(f'{vessel.name}.{axis}' for vessel in JIGGERS for axis in 'xyz'),
    )

    def __init__(self) -> None:
        super().__init__()
        self.drinks = {vessel.name: Beads(vessel.words, MEASURE) for vessel in JIGGERS}
        self._spots = {vessel.name: np.zeros(3) for vessel in VESSELS}
        self._table_z = 0.0

    @property
    def target_bodies(self) -> tuple[str, ...]:
        """The shaker."""
        return (SHAKER.name,)

    def scene_xml(self) -> str:
        """Table, four vessels, two kinds of beads, and the count of strokes."""
        gin = beads_xml('gin', MEASURE, '0.95 0.95 0.98 1')
        lime = beads_xml('lime', MEASURE, '0.45 0.80 0.10 1')
        vessels = ''.join(cup_xml(vessel) for vessel in VESSELS)
        return table_xml() + vessels + gin + lime + latch_xml('strokes')

    def randomise(self, scene: Scene, rng: np.random.Generator, shift: Shift) -> None:
        """Where everything stands, which measure is where, table height, looks, masses."""
        wide = shift == 'shift'
        vary_looks(scene, rng, shift, ())
        self._table_z = table_height(rng, shift)
        place_furniture(scene, 'table', TABLE_X, 0.0, self._table_z)
        spread = 0.014 if wide else 0.009
        places = dict(_SPOTS_XY) | {'glass': _GLASS_XY}
        if rng.random() < 0.5:
            names = GIN.name, LIME.name
            places |= {names[0]: places[names[1]], names[1]: places[names[0]]}
        for vessel in VESSELS:
            vary_vessel(scene, rng, shift, vessel)
            yaw = (-SHAKER_YAW if vessel is SHAKER else POUR_YAW_RAD['l']) + rng.uniform(-0.1, 0.1)
            foot = np.array(places[vessel.name]) + rng.uniform(-spread, spread, 2)
            self._spots[vessel.name] = np.array([*foot, self._table_z])
            scene.place(vessel.name, np.array([*foot, self._table_z + 0.001]), yaw)
        for vessel in JIGGERS:
            self.drinks[vessel.name].fill(scene, vessel)
        self.instruction = self.phrase(rng, shift)

    def after_step(self, scene: Scene) -> None:
        """Count a stroke when the shaker, full and in both hands, comes to its other end."""
        if not (in_both_hands(scene) and self._mixed(scene)):
            return
        done = round(scene.slide('strokes'))
        height = scene.position(SHAKER.name)[2] - self._table_z
        if (height < LOW_M) if done % 2 else (height > HIGH_M):
            joint = scene.model.joint('strokes')
            scene.data.qpos[joint.qposadr[0]] = done + 1.0
            scene.data.qvel[joint.dofadr[0]] = 0.0

    def shaken(self, scene: Scene) -> bool:
        """Whether the full shaker was moved up and down often enough."""
        return scene.slide('strokes') > STROKES - 0.5

    def success(self, scene: Scene) -> bool:
        """Shaken, enough of both measures in the glass, and the shaker stands, let go and at rest."""
        return (
            self.shaken(scene)
            and all(n >= ENOUGH for n in self._inside(scene, GLASS))
            and upright(scene, GLASS)
            and upright(scene, SHAKER)
            and scene.position(SHAKER.name)[2] < self._table_z + 0.01
            and scene.speed(SHAKER.name) < 0.1
            and not any(holds(scene, side, SHAKER_OF[side]) for side in SIDES)
        )

    def stages_done(self, scene: Scene) -> int:
        """A measure counts from when enough of it is in the shaker."""
        if self.shaken(scene):
            if all(n >= ENOUGH for n in self._inside(scene, GLASS)):
                return 6 if self.success(scene) else 5
            return 4 if all(n >= ENOUGH for n in self._usable(scene)) else 0
        full = sum(n >= ENOUGH for n in self._inside(scene, SHAKER))
        return 3 if full == 2 and in_both_hands(scene) else full

    def label(self, scene: Scene) -> npt.NDArray[np.float32]:
        """Feet of shaker, glass and both jiggers."""
        feet = [scene.position(vessel.name) for vessel in (SHAKER, GLASS, *JIGGERS)]
        return np.concatenate(feet).astype(np.float32)

    def waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint:
        """What the hands hold decides; with empty hands, what is still to be poured or shaken."""
        for jigger in JIGGERS:
            if holds(scene, 'l', jigger):
                if self.drinks[jigger.name].inside(scene, jigger):
                    return without(scene, 'r', pour(scene, 'l', jigger, SHAKER, 1.0, aim.goal))
                return self._put(scene, jigger)
        wanted = self._wanted(scene)
        left, right = (holds(scene, side, SHAKER_OF[side]) for side in SIDES)
        spot, up = self._spots[SHAKER.name], not round(scene.slide('strokes')) % 2
        if right and not left:
            return join(scene, 'l', spot, aim.item)
        if left:
            if wanted is SHAKER and abs(hand_roll(scene, 'l')) < 0.3:
                return stroke(scene, spot, up) if right else join(scene, 'r', spot, aim.item)
            if wanted is GLASS and self._count(scene, SHAKER):
                pouring = pour(scene, 'l', SHAKER, GLASS, 1.0, aim.goal)
                return pouring if hand_roll(scene, 'l') > 0.3 else let_go(scene, spot) or pouring
            return self._put(scene, SHAKER)
        if wanted is GLASS and not self._count(scene, SHAKER):
            return without(scene, 'l', without(scene, 'r', Waypoint('leave')))
        next_one = SHAKER if wanted is GLASS else wanted
        others = tuple(vessel for vessel in VESSELS[:3] if vessel is not next_one)
        away = back_off(scene, 'l', others, next_one)
        if away is not None:
            return without(scene, 'r', Waypoint('leave', {'l': away}))
        return without(scene, 'r', take(scene, 'l', next_one, aim.item))

    def held(self, scene: Scene) -> bool:
        """Whether the left hand holds the vessel that is needed next."""
        wanted = self._wanted(scene)
        return holds(scene, 'l', SHAKER if wanted is GLASS else wanted)

    def lost(self, scene: Scene) -> bool:
        """Whether too much of a measure is spilt, or a vessel that is still needed has fallen or is out of reach."""
        if any(n < ENOUGH for n in self._usable(scene)):
            return True
        needed = [jigger for jigger in JIGGERS if not self._poured(scene, jigger)]
        return any(self._gone(scene, vessel) for vessel in (*needed, SHAKER, GLASS))

    def dropped(self, scene: Scene) -> bool:
        """Whether a vessel lies, or does not stand at its place."""
        return any(
            not upright(scene, vessel)
            or np.linalg.norm(scene.position(vessel.name) - self._spots[vessel.name]) > 0.05
            for vessel in VESSELS
        )

    def danger(self, scene: Scene) -> bool:
        """A hand pressed on the table."""
        return hand_on_table(scene, self._table_z)

    def _put(self, scene: Scene, vessel: Vessel) -> Waypoint:
        spot = self._spots[vessel.name]
        return without(scene, 'r', put(scene, 'l', vessel, spot, self._table_z + _TRAVEL_M))

    def _wanted(self, scene: Scene) -> Vessel:
        """What is to be filled or moved next: a jigger, the shaker, or (by pouring from the shaker) the glass."""
        if self.shaken(scene):
            return GLASS
        for jigger in sorted(JIGGERS, key=lambda jigger: self._spots[jigger.name][1]):
            if not self._poured(scene, jigger):
                return jigger
        return SHAKER

    def _poured(self, scene: Scene, jigger: Vessel) -> bool:
        drink = self.drinks[jigger.name]
        return drink.inside(scene, SHAKER) + drink.inside(scene, GLASS) >= ENOUGH

    def _mixed(self, scene: Scene) -> bool:
        return all(n >= ENOUGH for n in self._inside(scene, SHAKER))

    def _inside(self, scene: Scene, vessel: Vessel) -> list[int]:
        return [drink.inside(scene, vessel) for drink in self.drinks.values()]

    def _count(self, scene: Scene, vessel: Vessel) -> int:
        return sum(self._inside(scene, vessel))

    def _usable(self, scene: Scene) -> list[int]:
        """Beads of each measure that are in its jigger, the shaker or the glass, or high above the table."""
        usable = []
        for jigger in JIGGERS:
            drink = self.drinks[jigger.name]
            inside = sum(drink.inside(scene, vessel) for vessel in (jigger, SHAKER, GLASS))
            high = int(np.sum(drink.positions(scene)[:, 2] > self._table_z + 0.03))
            usable.append(max(inside, high))
        return usable

    def _gone(self, scene: Scene, vessel: Vessel) -> bool:
        """Whether a vessel is out of reach, or has fallen and is not in a hand."""
        x, y, z = scene.position(vessel.name)
        if not (0.82 < x < 1.08 and abs(y) < 0.42 and z > self._table_z - 0.03):
            return True
        return not upright(scene, vessel) and not holds(scene, 'l', vessel)
