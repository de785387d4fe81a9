"""The pieces of the shoebox task: a box with hand-holes, its lid, two shoes and a sheet of tissue paper."""

from __future__ import annotations

from lwd_sim.robot.g1_model import FURNITURE_CONTACT, ITEM_CONTACT
from lwd_sim.tasks.tabletop import TABLE_TOP_Z

BOX_X, BOX_Y, BOX_HEIGHT = 0.078, 0.085, 0.088  # m: inner half sizes, height of the walls
BOX_FLOOR = 0.004  # m
SHOE_HALF = (0.030, 0.022, 0.024)  # m: of the part around the ankle; the toe is in front of it
TOE_LENGTH = 0.034  # m
SHOE_IN_BOX = (-0.008, 0.050)  # m: of the ankle, seen from the middle of the box; y mirrored
PAPER_HALF = (0.058, 0.072, 0.002)  # m
TUFT_RADIUS, TUFT_HEIGHT = 0.006, 0.024  # m: where the paper is pinched together
LID_HALF_HEIGHT = 0.003  # m, of the plate
KNOB_RADIUS, KNOB_HEIGHT = 0.011, 0.032  # m
PLUG_DEPTH = 0.006  # m: a block under the lid that finds its way between the walls
_WALL = 0.004  # m, thickness
_PLUG_SLACK = 0.010  # m
_HOLE = (-0.060, 0.040)  # m: where the side walls are low, for the fingers of a hand that opens
_HOLE_HEIGHT = 0.022  # m, of the wall there


def box_xml() -> str:
    """The box, whose body frame is the centre of its underside."""
    x, y, high, thick = BOX_X, BOX_Y, BOX_HEIGHT / 2, _WALL / 2
    near, far = _HOLE
    parts = [
        (0.0, 0.0, BOX_FLOOR / 2, x, y, BOX_FLOOR / 2),
        (x + thick, 0.0, high, thick, y + 2 * thick, high),
        (-x - thick, 0.0, high, thick, y + 2 * thick, high),
    ]
    for side in (1, -1):
        at = side * (y + thick)
        corner = high - 0.0005  # the lid rests on two walls
        parts += [
            (0.0, at, _HOLE_HEIGHT / 2, x, thick, _HOLE_HEIGHT / 2),
            ((near - x) / 2, at, corner, (near + x) / 2, thick, corner),
            ((far + x) / 2, at, corner, (x - far) / 2, thick, corner),
        ]
    geoms = ''.join(
        f'<geom type="box" pos="{px} {py} {pz}" size="{sx} {sy} {sz}" rgba="0.66 0.46 0.28 1" {FURNITURE_CONTACT}/>'
        for px, py, pz, sx, sy, sz in parts
    )
    return f'<body name="box" pos="0.9 0 {TABLE_TOP_Z}">{geoms}</body>'


def shoe_xml(name: str) -> str:
    """A shoe, whose body frame is the centre of the block around the ankle; the toe points along x."""
    x, y, z = SHOE_HALF
    toe, low = TOE_LENGTH / 2, 0.4 * z
    return _free(
        name,
        f'<geom name="{name}" type="box" size="{x} {y} {z}" mass="0.13" rgba="0.7 0.1 0.1 1" {_ITEM}/>'
        f'<geom name="{name}_toe" type="box" size="{toe} {y} {low}" pos="{x + toe} 0 {low - z + 0.0005}" mass="0.03" '
        f'rgba="0.92 0.91 0.86 1" {_ITEM}/>',
    )


def paper_xml() -> str:
    """A sheet, whose body frame is its centre, with a tuft to take it by."""
    x, y, z = PAPER_HALF
    half = TUFT_HEIGHT / 2
    return _free(
        'paper',
        f'<geom name="paper" type="box" size="{x} {y} {z}" mass="0.025" rgba="0.95 0.95 0.92 1" {_ITEM}/>'
        f'<geom name="paper_tuft" type="cylinder" size="{TUFT_RADIUS} {half}" pos="0 0 {z + half}" mass="0.005" '
        f'rgba="0.85 0.85 0.80 1" {_ITEM}/>',
    )


def lid_xml() -> str:
    """The lid, whose body frame is the centre of its plate, with a knob above and a block below."""
    x, y, z = BOX_X + _WALL + 0.002, BOX_Y + _WALL + 0.002, LID_HALF_HEIGHT
    plug, half = PLUG_DEPTH / 2, KNOB_HEIGHT / 2
    return _free(
        'lid',
        f'<geom name="lid" type="box" size="{x} {y} {z}" mass="0.08" rgba="0.58 0.38 0.22 1" {_ITEM}/>'
        f'<geom name="lid_plug" type="box" size="{BOX_X - _PLUG_SLACK} {BOX_Y - _PLUG_SLACK} {plug}" '
        f'pos="0 0 {-z - plug}" mass="0.03" rgba="0.58 0.38 0.22 1" {_ITEM}/>'
        f'<geom name="lid_knob" type="cylinder" size="{KNOB_RADIUS} {half}" pos="0 0 {z + half}" mass="0.02" '
        f'rgba="0.15 0.15 0.18 1" {_ITEM}/>',
    )


_ITEM = f'friction="0.9 0.02 0.002" {ITEM_CONTACT}'


def _free(name: str, geoms: str) -> str:
    return (
        f'<body name="{name}" pos="0.9 0 {TABLE_TOP_Z + 0.1}">'
        f'<joint name="{name}_free" type="free" damping="0.0005"/>{geoms}</body>'
    )
