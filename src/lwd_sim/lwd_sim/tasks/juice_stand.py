"""The furniture of the juice task: a chopper with a sliding blade, a fruit of two halves, a juicer, a cup, a tray.

The fruit's halves are held together by a weld. Each half has a hard rind, which stops the blade, and flesh at the
seam, which the blade passes: so only a blade that meets the seam gets through. A counterweight lifts the blade.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lwd_sim.robot.g1_model import FURNITURE_CONTACT, ITEM_CONTACT, NO_CONTACT
from lwd_sim.tasks.scene import Array, Scene
from lwd_sim.tasks.tabletop import TABLE_TOP_Z, ItemKind

HALVES = ('fruit_near', 'fruit_far')
HALF_LENGTH = 0.020  # m, half of one half, along the fruit's axis (x)
RADIUS = 0.027  # m, of the largest fruit
FLESH = 0.012  # m from the seam
SEAM_GAP = 0.0005  # m
BOARD_TOP = 0.02  # m over the table
BLADE_UP = 0.17  # m, edge of the raised blade over the board
BLADE_STROKE = BLADE_UP - 0.001  # m
BLADE_CLEAR = 0.03  # m that the blade may be down and still leave room for a hand
BLADE_HALF_WIDTH = 0.033  # m
BLADE_HEIGHT = 0.06  # m
KNOB_Y = -0.18  # m from the blade, along the carriage
KNOB_TOP = BLADE_UP + BLADE_HEIGHT + 0.022  # m over the board, blade raised
HOPPER_FLOOR = 0.055  # m over the table
HOPPER_INNER_HALF = 0.068  # m
HOPPER_DEPTH = 0.075  # m
TRAY_HALF = 0.05  # m
TRAY_TOP = 0.008  # m over the table

CUP = ItemKind('cup', 'cup', (0.93, 0.93, 0.90), 'cylinder', 0.029, 0.042)

_BLADE_CONTACT = 'contype="8" conaffinity="3"'  # hands and rind, not flesh
_FLESH_CONTACT = 'contype="4" conaffinity="7"'  # everything but the blade
_STEEL = '0.75 0.78 0.82 1'
_DARK = '0.25 0.27 0.30 1'


@dataclass(frozen=True, slots=True)
class Fruit:
    """A kind of fruit: word, radius in m, colours of rind and flesh."""

    word: str
    radius: float
    rind: tuple[float, float, float]
    flesh: tuple[float, float, float]
    name: str = HALVES[0]  # a body that is part of it


FRUITS = (
    Fruit('orange', 0.027, (0.95, 0.50, 0.06), (0.99, 0.74, 0.30)),
    Fruit('lime', 0.0245, (0.25, 0.60, 0.12), (0.80, 0.92, 0.55)),
    Fruit('plum', 0.0255, (0.42, 0.10, 0.38), (0.90, 0.65, 0.30)),
)


@dataclass(frozen=True, slots=True)
class Thing:
    """A round thing to take: centre (3,) m, axis (3,), half length and radius in m."""

    centre: Array
    axis: Array
    half_length: float
    radius: float

    def width(self, closing: Array) -> float:
        """Extent along ``closing`` (3,), m."""
        along = min(1.0, abs(float(self.axis @ closing)))
        return float(2 * (along * self.half_length + np.sqrt(1 - along**2) * self.radius))

    @property
    def yaw(self) -> float:
        """Of a hand from the front that takes it where it is narrow: across the axis if that can be, rad."""
        if abs(self.axis[2]) > 0.7:
            return 0.0
        yaw = float(np.arctan2(self.axis[1], self.axis[0]))
        quarter = np.pi / 2
        yaw = (yaw + quarter) % np.pi - quarter  # an axis has no direction
        if abs(yaw) > np.pi / 4:
            yaw -= np.sign(yaw) * quarter  # lengthwise
        return float(np.clip(yaw, -0.6, 0.6))

    def held(self, scene: Scene, side: str) -> bool:
        """Whether a hand holds it anywhere along its axis."""
        reach = max(0.0, self.half_length - 0.01)
        along = float(np.clip((scene.tcp(side) - self.centre) @ self.axis, -reach, reach))
        width = self.width(scene.tool_axes(side)[:, 0])
        return scene.holds(side, self.centre + along * self.axis, width)


@dataclass(frozen=True, slots=True)
class Places:
    """Where things stand in one scene: frames of the furniture, (3,) m on the table; the fruit's radius."""

    board: Array = field(default_factory=lambda: np.zeros(3))  # under the blade
    juicer: Array = field(default_factory=lambda: np.zeros(3))
    tray: Array = field(default_factory=lambda: np.zeros(3))
    cup: Array = field(default_factory=lambda: np.zeros(3))  # at the beginning
    table_z: float = 0.0
    radius: float = RADIUS

    @property
    def seat(self) -> Array:
        """Where the fruit's centre belongs on the board, (3,) m."""
        return np.asarray(self.board + np.array([0.0, 0.0, BOARD_TOP + self.radius]))

    def lies_across(self, whole: Thing, slack: float) -> bool:
        """Whether the whole seam of the fruit is within ``slack`` m of the blade's plane."""
        tilted = self.radius * np.hypot(whole.axis[1], whole.axis[2])
        return bool(abs(whole.centre[0] - self.board[0]) + tilted < slack)

    def on_board(self, point: Array) -> bool:
        """Whether a point (3,) is on the board, or above it."""
        return bool(np.abs((point - self.board)[:2]).max() < 0.06)

    def in_the_way(self, hand: Array) -> bool:
        """Whether a tool centre (3,) is too near for the blade to come down."""
        x, y = (hand - self.board)[:2]
        return bool(-0.07 < x < 0.09 and abs(y) < 0.09)


def chopper_xml() -> str:
    """A board, a post behind it, and the blade on its slide; the body frame is on the table under the blade.

    The joint ``blade`` is 0 raised, ``-BLADE_STROKE`` on the board. The knob is where the other hand reaches it.
    """
    bar_z = BOARD_TOP + BLADE_UP + BLADE_HEIGHT
    return (
        f'<body name="chopper" pos="0.9 0.09 {TABLE_TOP_Z}">'
        f'<geom name="board" type="box" size="0.05 0.042 {BOARD_TOP / 2}" pos="0 0 {BOARD_TOP / 2}" '
        f'rgba="0.60 0.42 0.24 1" {FURNITURE_CONTACT}/>'
        f'<geom type="box" size="0.011 0.011 0.15" pos="0.024 -0.09 0.15" rgba="{_DARK}" {FURNITURE_CONTACT}/>'
        f'<geom type="box" size="0.03 0.03 0.005" pos="0.024 -0.09 0.005" rgba="{_DARK}" {FURNITURE_CONTACT}/>'
        f'<body name="blade" pos="0 0 {BOARD_TOP + BLADE_UP}" gravcomp="2.5">'
        f'<joint name="blade" type="slide" axis="0 0 1" range="{-BLADE_STROKE} 0" frictionloss="1.5" damping="8" '
        'armature="0.2"/>'
        f'<geom name="blade" type="box" size="0.0015 {BLADE_HALF_WIDTH} {BLADE_HEIGHT / 2}" '
        f'pos="0 0 {BLADE_HEIGHT / 2}" mass="0.2" rgba="{_STEEL}" {_BLADE_CONTACT}/>'
        f'<geom type="box" size="0.008 {(BLADE_HALF_WIDTH - KNOB_Y) / 2} 0.007" '
        f'pos="0 {(BLADE_HALF_WIDTH + KNOB_Y) / 2} {bar_z - BOARD_TOP - BLADE_UP + 0.004}" mass="0.15" '
        f'rgba="{_STEEL}" {_BLADE_CONTACT}/>'
        f'<geom name="knob" type="cylinder" size="0.028 0.007" pos="0 {KNOB_Y} {KNOB_TOP - BLADE_UP - 0.007}" '
        f'mass="0.05" rgba="0.85 0.10 0.10 1" {_BLADE_CONTACT}/></body></body>'
    )


def fruit_xml() -> str:
    """Two free halves, their axes along x, the seam between them."""
    return ''.join(_half_xml(name, sign) for name, sign in zip(HALVES, (1, -1), strict=True))


def fruit_weld_xml() -> str:
    """What holds the halves together until they are cut."""
    return f'<weld name="fruit" body1="{HALVES[0]}" body2="{HALVES[1]}" solref="0.006 1"/>'


def juicer_xml() -> str:
    """An open hopper on a stand with a spout towards the robot; the body frame is on the table."""
    inner, high, thick, floor = HOPPER_INNER_HALF, HOPPER_DEPTH / 2, 0.004, HOPPER_FLOOR
    colour = '0.88 0.89 0.92 1'
    walls = ''.join(
        f'<geom type="box" size="{sx} {sy} {high}" pos="{x} {y} {floor + high}" rgba="{colour}" {FURNITURE_CONTACT}/>'
        for x, y, sx, sy in (
            (inner + thick, 0, thick, inner + 2 * thick),
            (-inner - thick, 0, thick, inner + 2 * thick),
            (0, inner + thick, inner, thick),
            (0, -inner - thick, inner, thick),
        )
    )
    return (
        f'<body name="juicer" pos="1.0 0.35 {TABLE_TOP_Z}">'
        f'<geom name="hopper" type="box" size="{inner} {inner} 0.004" pos="0 0 {floor - 0.004}" '
        f'rgba="0.35 0.37 0.42 1" {FURNITURE_CONTACT}/>{walls}'
        f'<geom type="box" size="0.05 0.05 {floor / 2 - 0.004}" pos="0.01 0 {floor / 2 - 0.004}" '
        f'rgba="0.70 0.12 0.12 1" {FURNITURE_CONTACT}/>'
        f'<geom type="cylinder" size="0.009 0.014" pos="-0.086 0 {floor + 0.05}" euler="0 1.2 0" '
        f'rgba="{_DARK}" {NO_CONTACT}/></body>'
    )


def tray_xml() -> str:
    """A flat tray; the body frame is on the table under its middle."""
    half = TRAY_TOP / 2
    return (
        f'<body name="tray" pos="0.85 0.23 {TABLE_TOP_Z}"><geom name="tray" type="box" '
        f'size="{TRAY_HALF} {TRAY_HALF} {half}" pos="0 0 {half}" rgba="0.15 0.45 0.30 1" {FURNITURE_CONTACT}/></body>'
    )


def mat_xml() -> str:
    """The round mat on which the fruit lies, too thin to touch; the body frame is on the table."""
    return (
        f'<body name="mat" pos="0.97 0.2 {TABLE_TOP_Z}"><geom type="cylinder" size="0.058 0.0005" '
        f'pos="0 0 0.001" rgba="0.55 0.65 0.80 1" {NO_CONTACT}/></body>'
    )


def _half_xml(name: str, sign: int) -> str:
    rind = HALF_LENGTH - FLESH / 2  # half length of the rind
    flesh_x, rind_x = sign * (HALF_LENGTH - FLESH / 2), -sign * FLESH / 2
    touch = 'condim="6" friction="0.9 0.02 0.004"'
    return (
        f'<body name="{name}" pos="{0.97 - sign * (HALF_LENGTH + SEAM_GAP / 2)} 0.2 {TABLE_TOP_Z + RADIUS}">'
        f'<joint name="{name}_free" type="free" damping="0.0005"/>'
        f'<geom name="{name}" type="cylinder" size="{RADIUS} {rind}" pos="{rind_x} 0 0" euler="0 1.570796 0" '
        f'mass="0.06" rgba="0.95 0.55 0.08 1" {touch} {ITEM_CONTACT}/>'
        f'<geom name="{name}_flesh" type="cylinder" size="{RADIUS} {FLESH / 2}" pos="{flesh_x} 0 0" '
        f'euler="0 1.570796 0" mass="0.02" rgba="0.98 0.75 0.30 1" {touch} {_FLESH_CONTACT}/></body>'
    )
