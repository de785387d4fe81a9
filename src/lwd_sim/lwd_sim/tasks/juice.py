"""Juice: a fruit goes under the blade and is cut, both pieces go into the juicer, then the cup out to the tray.

The left hand carries; the right hand presses the blade down, which comes up by itself when it is let go.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lwd_sim.tasks import juice_moves as moves
from lwd_sim.tasks import juice_stand as stand
from lwd_sim.tasks.base import TRUE_AIM, Aim, Shift, Task, Waypoint
from lwd_sim.tasks.grasping import leave
from lwd_sim.tasks.juice_stand import FRUITS, HALVES, Places, Thing
from lwd_sim.tasks.scene import Array, Scene, latch_xml
from lwd_sim.tasks.tabletop import (
    TABLE_X,
    hand_on_table,
    item_xml,
    place_furniture,
    table_height,
    table_xml,
    vary_looks,
)

_SEAM_SLACK_M = 0.009  # how far the seam may be from the blade for a clean cut: flesh less tilt


class Juice(Task):
    """Left to right: juicer with the cup in front, mat with the fruit behind the tray, chopper, its knob."""

    name: ClassVar[str] = 'juice'
    time_limit_s: ClassVar[float] = 40.0
    body_pose: ClassVar[dict[str, float]] = {'idx11_head_joint1': 0.25}  # looks to the left
    error_scale: ClassVar[float] = 0.35
    stages: ClassVar[tuple[str, ...]] = (
        'fruit under the blade',
        'cut',
        'one piece in the juicer',
        'both pieces in the juicer',
        'cup on the tray',
    )
    phrases: ClassVar[tuple[str, ...]] = (
        'make juice of the {fruit} and put the cup on the tray',
        'cut the {fruit} with the chopper, juice both pieces and serve the cup on the tray',
        'put the {fruit} under the blade, chop it, drop the pieces into the juicer, then set the cup on the tray',
    )
    held_out_phrases: ClassVar[tuple[str, ...]] = (
        'could I have a cup of {fruit} juice on the tray, please?',
        'halve the {fruit}, both halves belong in the juicer; the cup goes to the tray afterwards',
    )
    label_names: ClassVar[tuple[str, ...]] = tuple(
        f'{thing}.{axis}'
        for thing in ('item', 'goal', 'near_piece', 'far_piece', 'cup', 'board', 'juicer', 'tray')
        for axis in 'xyz'
    )

    def __init__(self) -> None:
        super().__init__()
        self.fruit = FRUITS[0]
        self.places = Places()

    @property
    def target_bodies(self) -> tuple[str, ...]:
        """Both halves of the fruit, which is whole at the beginning."""
        return HALVES

    def scene_xml(self) -> str:
        """Table, chopper, juicer, tray, mat, the fruit's halves, the cup."""
        furniture = stand.chopper_xml() + stand.juicer_xml() + stand.tray_xml() + stand.mat_xml()
        return table_xml() + furniture + stand.fruit_xml() + item_xml(stand.CUP) + latch_xml('cut')

    def equality_xml(self) -> str:
        """The weld between the halves."""
        return stand.fruit_weld_xml()

    def randomise(self, scene: Scene, rng: np.random.Generator, shift: Shift) -> None:
        """Which fruit, where everything stands, table height, looks."""
        wide = 1.6 if shift == 'shift' else 1.0
        vary_looks(scene, rng, shift, (stand.CUP,))
        table_z = table_height(rng, shift)
        place_furniture(scene, 'table', TABLE_X, 0.0, table_z)

        def near(x: float, y: float, spread_x: float, spread_y: float) -> Array:
            at = np.array([x, y, table_z])
            return at + wide * np.array([*(rng.uniform(-1, 1, 2) * (spread_x, spread_y)), 0.0])

        self.fruit = FRUITS[int(rng.integers(len(FRUITS)))]
        self.places = Places(
            board=near(0.895, 0.09, 0.006, 0.005),
            juicer=near(0.995, 0.385, 0.006, 0.006),
            tray=near(0.85, 0.23, 0.006, 0.006),
            cup=near(0.866, 0.375, 0.006, 0.006),
            table_z=table_z,
            radius=self.fruit.radius,
        )
        mat = near(0.972, 0.21, 0.006, 0.005)
        stands = (
            ('chopper', self.places.board),
            ('juicer', self.places.juicer),
            ('tray', self.places.tray),
        )
        for name, at in (*stands, ('mat', mat)):
            place_furniture(scene, name, *at)
        self._paint(scene, rng, 0.10 if shift == 'shift' else 0.04)
        yaw = wide * rng.uniform(-0.18, 0.18)
        centre = mat + np.array([*(wide * rng.uniform(-0.005, 0.005, 2)), 0.001])
        self.lay_fruit(scene, centre + np.array([0, 0, self.fruit.radius]), yaw)
        scene.place('cup', self.places.cup + np.array([0, 0, stand.CUP.half_height + 0.001]))
        self.instruction = self.phrase(rng, shift).format(fruit=self.fruit.word)

    def lay_fruit(self, scene: Scene, centre: Array, yaw: float) -> None:
        """Put the whole fruit at ``centre`` (3,) m, its axis level and turned ``yaw`` rad from straight ahead."""
        arm = (stand.HALF_LENGTH + stand.SEAM_GAP / 2) * np.array([np.cos(yaw), np.sin(yaw), 0.0])
        for name, sign in zip(HALVES, (-1, 1), strict=True):
            scene.place(name, centre + sign * arm, yaw)

    def after_step(self, scene: Scene) -> None:
        """Break the weld once the blade is through the seam."""
        if not scene.latched('cut') and self.blade_through(scene):
            scene.latch('cut')
        scene.data.eq_active[scene.model.equality('fruit').id] = not scene.latched('cut')

    def blade_through(self, scene: Scene) -> bool:
        """Whether the blade stands in the flesh at the seam, its edge at the fruit's underside."""
        whole = self.whole(scene)
        edge_z = self.places.board[2] + stand.BOARD_TOP + stand.BLADE_UP + scene.slide('blade')
        low = edge_z < whole.centre[2] - whole.radius + 0.006
        aside = abs(whole.centre[1] - self.places.board[1]) < stand.BLADE_HALF_WIDTH - 0.01
        return low and aside and self.places.lies_across(whole, stand.FLESH)

    def success(self, scene: Scene) -> bool:
        """Both pieces lie in the juicer, the cup stands on the tray; all let go and slower than 0.3 m/s."""
        return (
            scene.latched('cut')
            and self._pieces_left(scene) == []
            and self.cup_on_tray(scene)
            and scene.gap('l') > 2 * stand.CUP.half_width + 0.008
            and max(scene.speed(name) for name in (*HALVES, 'cup')) < 0.3
        )

    def stages_done(self, scene: Scene) -> int:
        """Under the blade: it lies where the blade will meet the seam, let go."""
        if not scene.latched('cut'):
            return int(self.under_blade(scene) and not self.whole(scene).held(scene, 'l'))
        left = len(self._pieces_left(scene))
        return 5 if self.success(scene) else 4 - left

    def label(self, scene: Scene) -> npt.NDArray[np.float32]:
        """What to take next and where to, then every thing and place."""
        near, far = (scene.position(name) for name in HALVES)
        item, goal = near, self.places.seat
        if scene.latched('cut'):
            left = self._pieces_left(scene)
            item = scene.position(left[0] if left else 'cup')
            goal = self.places.juicer if left else self.places.tray
        things = (near, far, scene.position('cup'))
        places = (self.places.board, self.places.juicer, self.places.tray)
        return np.concatenate([item, goal, *things, *places]).astype(np.float32)

    def waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint:
        """Fruit under the blade, press, pieces into the juicer, cup to the tray."""
        if not scene.latched('cut'):
            whole = self.whole(scene)
            if whole.held(scene, 'l'):
                return moves.seat_fruit(scene, whole, self.places, aim)
            if self.under_blade(scene):
                return moves.press(scene, self.places)
            return moves.take(scene, whole, self.places, aim)
        left = self._pieces_left(scene)
        for name in left:
            piece, other = self.piece(scene, name), self.piece(scene, self._other(name))
            if piece.held(scene, 'l'):
                inside = other if self._other(name) not in left else None
                return moves.to_juicer(scene, piece, self.places, aim, inside)
        if left:
            piece, other = self.piece(scene, left[0]), self.piece(scene, self._other(left[0]))
            return moves.take(scene, piece, self.places, aim, beside=other)
        if self.cup_on_tray(scene) and not self.cup(scene).held(scene, 'l'):
            return leave(scene, 'l', self.places.table_z + 0.16)
        return moves.serve(scene, self.cup(scene), self.places, aim)

    def held(self, scene: Scene) -> bool:
        """Whether the left hand holds the fruit, a piece or the cup."""
        return any(thing.held(scene, 'l') for thing in self._things(scene))

    def lost(self, scene: Scene) -> bool:
        """Whether a piece or the cup is off the table or beyond the left hand's reach, or the cup lies."""
        fallen = abs(self.cup(scene).axis[2]) < 0.5 and not self.cup(scene).held(scene, 'l')
        return fallen or any(self._gone(scene.position(name)) for name in (*HALVES, 'cup'))

    def dropped(self, scene: Scene) -> bool:
        """Whether what was carried lies neither where it was taken nor where it belongs."""
        if not scene.latched('cut'):
            return not self.under_blade(scene)
        on_board = [
            self.places.on_board(scene.position(name)) for name in self._pieces_left(scene)
        ]
        spilled = not all(on_board)
        moved = np.linalg.norm((scene.position('cup') - self.places.cup)[:2]) > 0.05
        return bool(spilled or (moved and not self.cup_on_tray(scene)))

    def danger(self, scene: Scene) -> bool:
        """A hand pressed on the table, or the left one under a falling blade."""
        under = scene.slide('blade') < -stand.BLADE_CLEAR and self.places.in_the_way(
            scene.tcp('l')
        )
        return under or hand_on_table(scene, self.places.table_z, 0.008)

    def whole(self, scene: Scene) -> Thing:
        """The fruit as one thing, its centre at the seam."""
        near, far = (scene.position(name) for name in HALVES)
        axis = scene.axes(HALVES[0])[:, 0]
        return Thing((near + far) / 2, axis, 2 * stand.HALF_LENGTH, self.fruit.radius)

    def piece(self, scene: Scene, name: str) -> Thing:
        """One half."""
        axis = scene.axes(name)[:, 0]
        return Thing(scene.position(name), axis, stand.HALF_LENGTH, self.fruit.radius)

    def cup(self, scene: Scene) -> Thing:
        """The cup."""
        axis = scene.axes('cup')[:, 2]
        return Thing(scene.position('cup'), axis, stand.CUP.half_height, stand.CUP.half_width)

    def under_blade(self, scene: Scene) -> bool:
        """Whether the whole fruit lies on the board so that the blade will meet its seam."""
        whole = self.whole(scene)
        offset = whole.centre - self.places.seat
        return (
            abs(offset[1]) < stand.BLADE_HALF_WIDTH - 0.01
            and abs(offset[2]) < 0.006
            and self.places.lies_across(whole, _SEAM_SLACK_M)
        )

    def in_juicer(self, scene: Scene, name: str) -> bool:
        """Whether a half's centre is inside the hopper."""
        offset = scene.position(name) - self.places.juicer
        inside = np.abs(offset[:2]).max() < stand.HOPPER_INNER_HALF
        return bool(inside and 0.0 < offset[2] - stand.HOPPER_FLOOR < stand.HOPPER_DEPTH)

    def cup_on_tray(self, scene: Scene) -> bool:
        """Whether the cup stands upright on the tray."""
        cup = self.cup(scene)
        offset = cup.centre - self.places.tray
        level = abs(offset[2] - stand.TRAY_TOP - stand.CUP.half_height) < 0.004
        upright = abs(cup.axis[2]) > 0.98
        return bool(level and upright and np.abs(offset[:2]).max() < stand.TRAY_HALF - 0.01)

    def _pieces_left(self, scene: Scene) -> list[str]:
        return [name for name in HALVES if not self.in_juicer(scene, name)]

    def _other(self, name: str) -> str:
        return HALVES[1 - HALVES.index(name)]

    def _things(self, scene: Scene) -> list[Thing]:
        if not scene.latched('cut'):
            return [self.whole(scene)]
        return [self.piece(scene, name) for name in self._pieces_left(scene)] + [self.cup(scene)]

    def _gone(self, point: Array) -> bool:
        x, y, z = point
        return not (z > self.places.table_z - 0.02 and 0.80 < x < 1.09 and 0.035 < y < 0.48)

    def _paint(self, scene: Scene, rng: np.random.Generator, spread: float) -> None:
        """The fruit's size and colours."""
        for name in HALVES:
            for geom, colour in ((name, self.fruit.rind), (f'{name}_flesh', self.fruit.flesh)):
                scene.model.geom(geom).size[0] = self.fruit.radius
                shade = np.asarray(colour) + rng.uniform(-spread, spread)
                scene.model.geom(geom).rgba[:3] = np.clip(shade, 0.02, 0.98)
