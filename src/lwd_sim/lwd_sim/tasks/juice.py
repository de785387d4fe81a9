"""Juice: a fruit goes under the blade and is cut, both pieces go into the juicer, then the cup out to the tray.

The left hand carries; the right hand presses the blade down, which comes up by itself when it is let go.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lwd_sim.tasks import juice_stand as stand
from lwd_sim.tasks.base import TRUE_AIM, Aim, HandGoal, Shift, Task, Waypoint
from lwd_sim.tasks.grasping import GRASP_TILT_RAD, carry, leave, pick
from lwd_sim.tasks.juice_stand import FRUITS, HALVES, Fruit, Thing
from lwd_sim.tasks.scene import Array, Scene, grasp_axes, latch_xml
from lwd_sim.tasks.tabletop import (
    TABLE_EDGE_X,
    TABLE_X,
    item_xml,
    place_furniture,
    table_height,
    table_xml,
    vary_looks,
)

_PRESS_TILT = np.deg2rad(75.0)
_FINGER_TIP_M = 0.022  # below the tool centre of a hand that presses
_HOPPER_TILT = np.deg2rad(48.0)  # the hopper stands further back: a flatter hand reaches it
_BLADE_CLEAR_M = 0.03  # of the blade's way down still leaves room for a hand
_BESIDE_M = 0.025  # from the middle of the hopper: room for the other piece
_SEAM_SLACK_M = 0.009  # how far the seam may be from the blade for a clean cut: flesh less tilt


class Juice(Task):
    """Left to right: juicer with the cup in front, dish with the fruit behind the tray, chopper, its knob."""

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
        self._board = np.zeros(3)  # frames of the furniture, on the table
        self._juicer = np.zeros(3)
        self._tray = np.zeros(3)
        self._cup_from = np.zeros(3)
        self._table_z = 0.0

    def scene_xml(self) -> str:
        """Table, chopper, juicer, tray, dish, the fruit's halves, the cup."""
        furniture = stand.chopper_xml() + stand.juicer_xml() + stand.tray_xml() + stand.dish_xml()
        return table_xml() + furniture + stand.fruit_xml() + item_xml(stand.CUP) + latch_xml('cut')

    def equality_xml(self) -> str:
        """The weld between the halves."""
        return stand.fruit_weld_xml()

    def randomise(self, scene: Scene, rng: np.random.Generator, shift: Shift) -> None:
        """Which fruit, where everything stands, table height, looks."""
        wide = 1.6 if shift == 'shift' else 1.0
        vary_looks(scene, rng, shift, (stand.CUP,))
        self._table_z = table_height(rng, shift)
        place_furniture(scene, 'table', TABLE_X, 0.0, self._table_z)

        def near(x: float, y: float, spread_x: float, spread_y: float) -> Array:
            at = np.array([x, y, self._table_z])
            return at + wide * np.array([*(rng.uniform(-1, 1, 2) * (spread_x, spread_y)), 0.0])

        self._board = near(0.895, 0.09, 0.006, 0.005)
        self._juicer = near(0.995, 0.385, 0.006, 0.006)
        self._tray = near(0.87, 0.23, 0.008, 0.006)
        dish = near(0.972, 0.21, 0.006, 0.005)
        for name, at in (('chopper', self._board), ('juicer', self._juicer), ('tray', self._tray)):
            place_furniture(scene, name, *at)
        place_furniture(scene, 'dish', *dish)
        self.fruit = FRUITS[int(rng.integers(len(FRUITS)))]
        self._paint(scene, rng, 0.10 if shift == 'shift' else 0.04)
        yaw = wide * rng.uniform(-0.18, 0.18)
        centre = dish + np.array([*(wide * rng.uniform(-0.005, 0.005, 2)), 0.005])
        self.lay_fruit(scene, centre + np.array([0, 0, self.fruit.radius]), yaw)
        spot = near(0.866, 0.375, 0.006, 0.006)
        self._cup_from = spot + np.array([0, 0, stand.CUP.half_height + 0.001])
        scene.place('cup', self._cup_from)
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
        edge_z = self._board[2] + stand.BOARD_TOP + stand.BLADE_UP + scene.slide('blade')
        low = edge_z < whole.centre[2] - whole.radius + 0.006
        aside = abs(whole.centre[1] - self._board[1]) < stand.BLADE_HALF_WIDTH - 0.01
        return low and aside and self._lies_across(whole, stand.FLESH)

    def success(self, scene: Scene) -> bool:
        """Both pieces lie in the juicer, the cup stands on the tray; all let go and at rest."""
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
        item, goal = near, self._seat()
        if scene.latched('cut'):
            left = self._pieces_left(scene)
            item = scene.position(left[0] if left else 'cup')
            goal = self._juicer if left else self._tray
        places = (near, far, scene.position('cup'), self._board, self._juicer, self._tray)
        return np.concatenate([item, goal, *places]).astype(np.float32)

    def waypoint(self, scene: Scene, aim: Aim = TRUE_AIM) -> Waypoint:
        """Fruit under the blade, press, pieces into the juicer, cup to the tray."""
        if not scene.latched('cut'):
            whole = self.whole(scene)
            if whole.held(scene, 'l'):
                return self._seat_fruit(scene, whole, aim)
            if self.under_blade(scene):
                return self._press(scene)
            return self._take(scene, whole, aim)
        left = self._pieces_left(scene)
        for name in left:
            piece = self.piece(scene, name)
            if piece.held(scene, 'l'):
                return self._to_juicer(scene, piece, aim)
        if left:
            return self._take(scene, self.piece(scene, left[0]), aim, left[0])
        cup = self.cup(scene)
        if cup.held(scene, 'l'):
            height = self._table_z + stand.TRAY_TOP + stand.CUP.half_height
            goal = self._tray + aim.goal
            return carry(scene, 'l', cup.centre, goal, height + 0.05, release=height + 0.006)
        if self.cup_on_tray(scene):
            return leave(scene, 'l', self._table_z + 0.16)
        return self._take(scene, cup, aim)

    def held(self, scene: Scene) -> bool:
        """Whether the left hand holds the fruit, a piece or the cup."""
        return any(thing.held(scene, 'l') for thing in self._things(scene))

    def lost(self, scene: Scene) -> bool:
        """Whether a piece or the cup is off the table or beyond the left hand's reach."""
        return any(self._gone(scene.position(name)) for name in (*HALVES, 'cup'))

    def dropped(self, scene: Scene) -> bool:
        """Whether what was carried lies neither where it was taken nor where it belongs."""
        if not scene.latched('cut'):
            return not self.under_blade(scene)
        on_board = [self._on_board(scene.position(name)) for name in self._pieces_left(scene)]
        spilled = not all(on_board)
        cup = scene.position('cup')
        moved = float(np.linalg.norm(cup - self._cup_from)) > 0.05
        return spilled or (moved and not self.cup_on_tray(scene))

    def danger(self, scene: Scene) -> bool:
        """A hand pressed on the table, or the left one under a falling blade."""
        under = scene.slide('blade') < -_BLADE_CLEAR_M and self._in_the_way(scene.tcp('l'))
        low = self._table_z + 0.008
        return under or any(
            scene.tcp(side)[0] > TABLE_EDGE_X and scene.tcp(side)[2] < low for side in 'lr'
        )

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
        offset = whole.centre - self._seat()
        return (
            abs(offset[1]) < stand.BLADE_HALF_WIDTH - 0.01
            and abs(offset[2]) < 0.006
            and self._lies_across(whole, _SEAM_SLACK_M)
        )

    def in_juicer(self, scene: Scene, name: str) -> bool:
        """Whether a half's centre is inside the hopper."""
        offset = scene.position(name) - self._juicer
        inside = np.abs(offset[:2]).max() < stand.HOPPER_INNER_HALF
        return bool(inside and 0.0 < offset[2] - stand.HOPPER_FLOOR < stand.HOPPER_DEPTH)

    def cup_on_tray(self, scene: Scene) -> bool:
        """Whether the cup stands upright on the tray."""
        cup = self.cup(scene)
        offset = cup.centre - self._tray
        level = abs(offset[2] - stand.TRAY_TOP - stand.CUP.half_height) < 0.004
        upright = abs(cup.axis[2]) > 0.98
        return bool(level and upright and np.abs(offset[:2]).max() < stand.TRAY_HALF - 0.01)

    def _take(self, scene: Scene, thing: Thing, aim: Aim, name: str = '') -> Waypoint:
        """Take a thing with the left hand; from the board only under a raised blade, and from the front."""
        board, tcp = self._board, scene.tcp('l')
        point = thing.centre + np.array([0.0, 0.0, 0.004])
        if name:  # a piece: keep off the other one beside it
            other = scene.position(HALVES[1 - HALVES.index(name)])
            apart = thing.centre - other
            if np.linalg.norm(apart) < 0.05:
                point += 0.004 * apart / np.linalg.norm(apart)
        axes = grasp_axes('l', GRASP_TILT_RAD)
        if self._on_board(thing.centre):
            if scene.slide('blade') < -_BLADE_CLEAR_M:
                wait = HandGoal(board + np.array([-0.12, 0.0, 0.16]), axes, 0.0)
                return Waypoint('wait', {'l': wait})
            if tcp[0] > board[0] - 0.05 and tcp[1] > board[1] + 0.08:
                front = HandGoal(board + np.array([-0.10, 0.08, 0.16]), axes, 0.0)
                return Waypoint('reach', {'l': front})
        yaw = thing.yaw
        width = thing.width(np.array([-np.sin(yaw), np.cos(yaw), 0.0]))
        return pick(scene, 'l', point + aim.item, width, yaw=yaw)

    def _seat_fruit(self, scene: Scene, whole: Thing, aim: Aim) -> Waypoint:
        """Carry the fruit low under the raised blade, turn it across, and set it down."""
        seat = self._seat() + aim.goal
        left = float(np.linalg.norm((seat - whole.centre)[:2]))
        tool = scene.tool_axes('l')
        tool_yaw = float(np.arctan2(tool[1, 2], tool[0, 2]))
        fruit_yaw = (np.arctan2(whole.axis[1], whole.axis[0]) + np.pi / 2) % np.pi - np.pi / 2
        turn = tool_yaw - fruit_yaw if abs(fruit_yaw) < 0.8 else 0.0
        axes = grasp_axes('l', GRASP_TILT_RAD, float(np.clip(turn, -0.6, 0.6)))
        grip = scene.tcp('l') - whole.centre
        over = seat + np.array([0.0, 0.0, 0.035])
        if whole.centre[2] < over[2] - 0.02 and left > 0.05:
            up = np.array([*whole.centre[:2], over[2] + 0.01])
            return Waypoint('lift', {'l': HandGoal(up + grip, axes, 1.0)})
        if left > 0.008 and whole.centre[2] > seat[2] + 0.012:
            return Waypoint('carry', {'l': HandGoal(over + grip, axes, 1.0)})
        if whole.centre[2] > seat[2] + 0.004 or left > 0.005:
            down = seat + np.array([0.0, 0.0, 0.001])
            return Waypoint('lower', {'l': HandGoal(down + grip, axes, 1.0, 0.6)})
        return Waypoint('release', {'l': HandGoal(scene.tcp('l'), axes, 0.0)})

    def _press(self, scene: Scene) -> Waypoint:
        """The left hand backs out; then the right one pushes the knob down with closed fingers."""
        hands = {}
        left = scene.tcp('l')
        clear = not self._in_the_way(left)
        if not clear:
            tool = scene.tool_axes('l')
            out = left - 0.08 * tool[:, 2] - np.array([0.04, 0.0, 0.0])
            hands['l'] = HandGoal(out, tool, 0.0)
        top = stand.BOARD_TOP + stand.KNOB_TOP + scene.slide('blade') + _FINGER_TIP_M
        touch = self._board + np.array([0.0, stand.KNOB_Y, top])
        axes = grasp_axes('r', _PRESS_TILT)
        tcp = scene.tcp('r')
        aside = float(np.linalg.norm((tcp - touch)[:2]))
        above = float(tcp[2] - touch[2])
        if clear and above > -0.015 and aside < 0.014 + 0.25 * max(0.0, above):
            hands['r'] = HandGoal(touch - np.array([0.0, 0.0, 0.03]), axes, 1.0)
            return Waypoint('press', hands)
        back = -0.10 if above < 0.025 and aside > 0.04 else 0.0  # not from below
        hands['r'] = HandGoal(touch + np.array([back, 0.0, 0.05]), axes, 1.0)
        return Waypoint('leave' if not clear else 'reach', hands)

    def _to_juicer(self, scene: Scene, piece: Thing, aim: Aim) -> Waypoint:
        """Out from under the blade sideways, then up and over the hopper."""
        centre, board = piece.centre, self._board
        rim = self._juicer[2] + stand.HOPPER_FLOOR + stand.HOPPER_DEPTH
        if centre[1] < board[1] + 0.10 and centre[2] < board[2] + stand.BLADE_UP:
            grip = scene.tcp('l') - centre
            low = board[2] + stand.BOARD_TOP + self.fruit.radius + 0.035
            axes = grasp_axes('l', GRASP_TILT_RAD)
            if self._on_board(centre) and centre[2] < low - 0.02:
                up = np.array([*centre[:2], low + 0.01])
                return Waypoint('lift', {'l': HandGoal(up + grip, axes, 1.0)})
            side = np.array([board[0] - 0.03, board[1] + 0.14, low])
            return Waypoint('carry', {'l': HandGoal(side + grip, axes, 1.0)})
        goal = self._juicer + aim.goal
        goal[1] += _BESIDE_M * self._free_side(scene)
        return carry(scene, 'l', centre, goal, rim + 0.04, tilt=_HOPPER_TILT)

    def _free_side(self, scene: Scene) -> float:
        """The side of the hopper, 1 left or -1 right, where no piece lies yet."""
        inside = [name for name in HALVES if self.in_juicer(scene, name)]
        return -float(np.sign(scene.position(inside[0])[1] - self._juicer[1])) if inside else -1.0

    def _seat(self) -> Array:
        """Where the fruit's centre belongs on the board, (3,) m."""
        return self._board + np.array([0.0, 0.0, stand.BOARD_TOP + self.fruit.radius])

    def _lies_across(self, whole: Thing, slack: float) -> bool:
        """Whether the whole seam is within ``slack`` m of the blade's plane."""
        tilted = self.fruit.radius * np.hypot(whole.axis[1], whole.axis[2])
        return bool(abs(whole.centre[0] - self._board[0]) + tilted < slack)

    def _on_board(self, point: Array) -> bool:
        """Whether a point is on the board, or above it."""
        return bool(np.abs((point - self._board)[:2]).max() < 0.06)

    def _in_the_way(self, hand: Array) -> bool:
        """Whether a tool centre is too near for the blade to come down."""
        x, y = (hand - self._board)[:2]
        return bool(-0.07 < x < 0.09 and abs(y) < 0.10)

    def _pieces_left(self, scene: Scene) -> list[str]:
        return [name for name in HALVES if not self.in_juicer(scene, name)]

    def _things(self, scene: Scene) -> list[Thing]:
        if not scene.latched('cut'):
            return [self.whole(scene)]
        return [self.piece(scene, name) for name in self._pieces_left(scene)] + [self.cup(scene)]

    def _gone(self, point: Array) -> bool:
        x, y, z = point
        return not (z > self._table_z - 0.02 and 0.80 < x < 1.09 and -0.05 < y < 0.48)

    def _paint(self, scene: Scene, rng: np.random.Generator, spread: float) -> None:
        """The fruit's size and colours."""
        for name in HALVES:
            for geom, colour in ((name, self.fruit.rind), (f'{name}_flesh', self.fruit.flesh)):
                scene.model.geom(geom).size[0] = self.fruit.radius
                shade = np.asarray(colour) + rng.uniform(-spread, spread)
                scene.model.geom(geom).rgba[:3] = np.clip(shade, 0.02, 0.98)

    @property
    def target(self) -> Fruit:
        """The fruit that the instruction names."""
        return self.fruit
