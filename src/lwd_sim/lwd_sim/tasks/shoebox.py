"""Shoebox: two shoes into the box, a sheet of paper on them, the lid on; the hands work in turn."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lwd_sim.tasks import shoebox_pieces as pieces
from lwd_sim.tasks.base import TRUE_AIM, Aim, Shift, Task, Waypoint
from lwd_sim.tasks.grasping import pick
from lwd_sim.tasks.scene import SIDES, Array, Scene
from lwd_sim.tasks.shoebox_moves import (
    OPEN_M,
    SIGN,
    WIDEST_M,
    Thing,
    grasp_of,
    low,
    put,
    rise,
    things,
)
from lwd_sim.tasks.tabletop import (
    TABLE_X,
    hand_on_table,
    place_furniture,
    table_height,
    table_xml,
    vary_looks,
)

_PARK_Y = 0.34  # m: where paper and lid lie
_COLOURS = ((0.75, 0.10, 0.10), (0.12, 0.25, 0.75), (0.10, 0.50, 0.22), (0.35, 0.15, 0.45))


class Shoebox(Task):
    """A shoe on each side of an open box; further out paper on one side and the lid on the other."""

    name: ClassVar[str] = 'shoebox'
    time_limit_s: ClassVar[float] = 40.0
    error_scale: ClassVar[float] = 0.4
    stages: ClassVar[tuple[str, ...]] = (
        'first shoe grasped',
        'first shoe in',
        'both shoes in',
        'paper in',
        'lid grasped',
        'lid on',
    )
    phrases: ClassVar[tuple[str, ...]] = (
        'pack the shoes: both into the box, the paper on top, then the lid',
        'put the two shoes into the shoe box, lay the paper over them and close the lid',
        'box the shoes with the paper on them and put the lid on',
    )
    held_out_phrases: ClassVar[tuple[str, ...]] = (
        'please get this pair ready to sell: shoes in, tissue over them, box closed',
        'the shoes belong in their box under the paper; shut it when you are done',
    )
    label_names: ClassVar[tuple[str, ...]] = tuple(
        f'{thing}.{axis}'
        for thing in ('item', 'goal', 'shoe_l', 'shoe_r', 'paper', 'lid', 'box')
        for axis in 'xyz'
    )

    def __init__(self) -> None:
        super().__init__()
        self._table_z = 0.0
        self._box = np.zeros(3)  # centre of the underside
        self._things = things('r')

    def scene_xml(self) -> str:
        """Table, box, two shoes, paper, lid."""
        shoes = pieces.shoe_xml('shoe_l') + pieces.shoe_xml('shoe_r')
        return table_xml() + pieces.box_xml() + shoes + pieces.paper_xml() + pieces.lid_xml()

    def randomise(self, scene: Scene, rng: np.random.Generator, shift: Shift) -> None:
        """Where everything lies, the side of the paper, the colour of the shoes, table height, looks."""
        wide = shift == 'shift'
        vary_looks(scene, rng, shift, ())
        self._table_z = table_height(rng, shift)
        place_furniture(scene, 'table', TABLE_X, 0.0, self._table_z)
        self._things = things(SIDES[int(rng.integers(2))])
        slack = np.array([0.010, 0.010]) if wide else np.array([0.006, 0.005])
        middle = np.array([0.90, 0.0]) + rng.uniform(-slack, slack)
        self._box = np.array([*middle, self._table_z])
        place_furniture(scene, 'box', *self._box)
        colour = np.array(_COLOURS[int(rng.integers(4 if wide else 3))])
        for shoe in self._shoes:
            scene.model.geom(shoe.name).rgba[:3] = colour
        turn = 0.20 if wide else 0.12
        places = ((0.895, 0.168), (0.895, 0.168), (0.90, _PARK_Y - 0.01), (0.90, _PARK_Y))
        for thing, (x, y) in zip(self._things, places, strict=True):
            spread = np.array([0.025, 0.008]) if wide else np.array([0.015, 0.005])
            at = np.array([x, SIGN[thing.side] * y]) + rng.uniform(-spread, spread)
            z = self._table_z + thing.below + 0.001
            scene.place(thing.name, np.array([*at, z]), rng.uniform(-turn, turn))
        self.instruction = self.phrase(rng, shift)

    def success(self, scene: Scene) -> bool:
        """Both shoes and the paper are in, the lid is on and level, the hands are open, and all is at rest."""
        return (
            self.lid_on(scene)
            and self.paper_in(scene)
            and self._shoes_in(scene) == 2
            and all(scene.gap(side) > OPEN_M for side in SIDES)
            and all(scene.speed(thing.name) < 0.05 for thing in self._things)
        )

    def stages_done(self, scene: Scene) -> int:
        """A shoe is in once it is let go of; a thing that falls into the box still counts as grasped."""
        shoes = self._shoes_in(scene)
        if shoes == 0:
            return int(any(self._held(scene, s) or self._over_box(scene, s) for s in self._shoes))
        if shoes == 1 or not self.paper_in(scene):
            return 1 + shoes
        if self.success(scene):
            return 6
        return 5 if self._held(scene, self._lid) or self._over_box(scene, self._lid) else 4

    def label(self, scene: Scene) -> npt.NDArray[np.float32]:
        """What to move next and where to, then everything: centres."""
        thing = self._next(scene, with_paper=True)
        everything = [scene.position(name) for name in ('shoe_l', 'shoe_r', 'paper', 'lid')]
        now = [scene.position(thing.name), self._goal(scene, thing, with_paper=True)]
        return np.concatenate(now + everything + [self._box]).astype(np.float32)

    def waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint:
        """Shoes, paper, lid; what is in the way of an earlier step goes back to its side first."""
        return self._waypoint_for(scene, aim, with_paper=True)

    def wrong_waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint | None:
        """The same by somebody who forgets the paper."""
        if self.lid_on(scene) and self._shoes_in(scene) == 2:
            return None
        return self._waypoint_for(scene, aim, with_paper=False)

    def held(self, scene: Scene) -> bool:
        """Whether a hand holds a shoe, the paper or the lid."""
        return any(self._held(scene, thing) for thing in self._things)

    def holds_wrong(self, scene: Scene) -> bool:
        """Whether a hand holds the lid before the paper is in, or the paper before the shoes are."""
        shoes = self._shoes_in(scene) == 2
        ready = {'paper': shoes, 'lid': shoes and self.paper_in(scene)}
        return any(self._held(scene, t) and not ready[t.name] for t in (self._paper, self._lid))

    def lost(self, scene: Scene) -> bool:
        """Whether something is off the table, out of reach, or upside down."""
        for thing in self._things:
            x, y, z = scene.position(thing.name) * (1.0, SIGN[thing.side], 1.0)
            if not (z > self._table_z - 0.02 and 0.79 < x < 1.02 and -0.12 < y < 0.45):
                return True
            if thing.slanted and scene.axes(thing.name)[2, 2] < 0.5:
                return True
        return False

    def dropped(self, scene: Scene) -> bool:
        """Something near a hand is not over the box."""
        return any(
            np.linalg.norm(scene.position(thing.name) - scene.tcp(thing.side)) < 0.13
            and not self._over_box(scene, thing)
            for thing in self._things
        )

    def danger(self, scene: Scene) -> bool:
        """A hand pressed on the table."""
        return hand_on_table(scene, self._table_z)

    def paper_in(self, scene: Scene) -> bool:
        """Whether the paper lies on the shoes, let go."""
        return (
            self._inside(scene, self._paper)
            and scene.position('paper')[2] - self._box[2] > 0.030
            and bool(scene.axes('paper')[2, 2] > np.cos(0.4))
            and not self._held(scene, self._paper)
        )

    def lid_on(self, scene: Scene) -> bool:
        """Whether the lid lies level on the walls."""
        x, y, z = scene.position('lid') - self._box
        height = z - pieces.BOX_HEIGHT - pieces.LID_HALF_HEIGHT
        level = scene.axes('lid')[2, 2] > np.cos(0.05)
        return bool(level and abs(height) < 0.004 and abs(x) < 0.015 and abs(y) < 0.025)

    @property
    def _shoes(self) -> tuple[Thing, ...]:
        return self._things[:2]

    @property
    def _paper(self) -> Thing:
        return self._things[2]

    @property
    def _lid(self) -> Thing:
        return self._things[3]

    def _shoes_in(self, scene: Scene) -> int:
        return sum(self._inside(scene, s) and not self._held(scene, s) for s in self._shoes)

    def _over_box(self, scene: Scene, thing: Thing) -> bool:
        x, y, _ = np.abs(scene.position(thing.name) - self._box)
        return bool(x < pieces.BOX_X and y < pieces.BOX_Y)

    def _inside(self, scene: Scene, thing: Thing) -> bool:
        height = scene.position(thing.name)[2] - self._box[2]
        return self._over_box(scene, thing) and bool(0.0 < height < pieces.BOX_HEIGHT - 0.015)

    def _complete(self, scene: Scene, thing: Thing, with_paper: bool) -> bool:
        """Whether all is done that comes before ``thing``."""
        if thing in self._shoes:
            return True
        shoes = self._shoes_in(scene) == 2
        return shoes and (thing is self._paper or not with_paper or self.paper_in(scene))

    def _next(self, scene: Scene, with_paper: bool) -> Thing:
        """What to move: what a hand holds, what is in the way, and then one thing after the other."""
        for thing in self._things:
            if self._held(scene, thing):
                return thing
        for thing in (self._lid, self._paper):
            if self._over_box(scene, thing) and not self._complete(scene, thing, with_paper):
                return thing
        for shoe in self._shoes:
            if not self._inside(scene, shoe):
                return shoe
        return self._paper if with_paper and not self.paper_in(scene) else self._lid

    def _goal(self, scene: Scene, thing: Thing, with_paper: bool) -> Array:
        """Where the body frame of ``thing`` comes to rest, (3,) m."""
        if thing in self._shoes:
            x, y = pieces.SHOE_IN_BOX
            height = pieces.BOX_FLOOR + thing.below
            return np.array([x, SIGN[thing.side] * y, height]) + self._box
        if not self._complete(scene, thing, with_paper):
            aside = SIGN[thing.side] * _PARK_Y
            return np.array([self._box[0], aside, self._table_z + thing.below])
        if thing is self._lid:
            height = pieces.BOX_HEIGHT + pieces.LID_HALF_HEIGHT
        else:
            height = pieces.BOX_FLOOR + 2 * pieces.SHOE_HALF[2] + thing.below
        return np.array([0.0, 0.0, height]) + self._box

    def _waypoint_for(self, scene: Scene, aim: Aim, with_paper: bool) -> Waypoint:
        thing = self._next(scene, with_paper)
        grasp = grasp_of(scene, thing)
        if grasp.held:
            goal = self._goal(scene, thing, with_paper) + aim.goal
            return put(scene, thing, goal, self._table_z)
        packed = thing is self._lid and self._complete(scene, thing, with_paper)
        closed = packed and self.lid_on(scene)
        for side in SIDES:  # a hand that let go rises before anything else moves
            idle = side != thing.side or closed or self._left_behind(scene, side, grasp.point)
            if idle and low(scene, side, self._table_z):
                return rise(scene, side, self._table_z)
        if closed:
            return Waypoint('home')
        return pick(
            scene, thing.side, grasp.point + aim.item, grasp.width, yaw=grasp.yaw, turned_rad=0.7
        )

    def _left_behind(self, scene: Scene, side: str, point: Array) -> bool:
        """Whether a hand is still at the box though its next thing is elsewhere."""
        tool = scene.tcp(side)
        near = np.abs(tool - self._box)
        apart = np.linalg.norm((tool - point)[:2]) > 0.10
        return bool(apart and near[0] < 0.10 and near[1] < 0.14)

    def _held(self, scene: Scene, thing: Thing) -> bool:
        return scene.gap(thing.side) < WIDEST_M and grasp_of(scene, thing).held
