"""How one hand takes, puts and leaves the things of the shoebox task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lwd_sim.tasks import shoebox_pieces as pieces
from lwd_sim.tasks.base import HandGoal, Waypoint
from lwd_sim.tasks.grasping import GRASP_TILT_RAD, Grasp, find_grasp
from lwd_sim.tasks.scene import Array, Scene, grasp_axes
from lwd_sim.tasks.tabletop import TABLE_EDGE_X

SIGN = {'l': 1.0, 'r': -1.0}
OPEN_M = 0.06  # between the pads of a hand that has let go
WIDEST_M = 0.07  # between the pads of a hand that may hold something
_INWARD_YAW = 0.45  # rad: a hand reaches the middle of the table at a slant
_MOST_YAW = 0.9  # rad
_TRAVEL = 0.155  # m, of the lowest point of what is carried over the table
_CLEAR = 0.20  # m, of the tool centre over the table before a hand goes home
_BESIDE_M = 0.014  # how far beside its place a thing may be lowered and let go
_STEP_M = 0.045  # how far down the hand aims while it lowers


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing to pack: where a hand takes it, seen from its body frame along its z axis, and how wide it is there."""

    name: str
    side: str  # whose hand
    grip: float  # m
    width: float  # m
    below: float  # from the body frame to its lowest point, m
    slanted: bool  # taken by something round, so the hand may come at a slant


def things(paper: str) -> tuple[Thing, ...]:
    """Left and right shoe, paper on the side ``paper``, lid on the other."""
    ankle, sheet = pieces.SHOE_HALF, pieces.PAPER_HALF[2]
    under, plate = pieces.LID_HALF_HEIGHT + pieces.PLUG_DEPTH, pieces.LID_HALF_HEIGHT
    tuft, knob = 2 * pieces.TUFT_RADIUS, 2 * pieces.KNOB_RADIUS
    return (
        *(Thing(f'shoe_{s}', s, 0.014, 2 * ankle[1], ankle[2], False) for s in SIGN),
        Thing('paper', paper, sheet + 0.024, tuft, sheet, True),
        Thing('lid', 'r' if paper == 'l' else 'l', plate + 0.026, knob, under, True),
    )


def grasp_of(scene: Scene, thing: Thing) -> Grasp:
    """How the hand takes a thing: along the shoe, or at a slant by tuft or knob."""
    axes = scene.axes(thing.name)
    if axes[2, 2] < 0.9 and not thing.slanted:
        return find_grasp(scene, thing.side, thing.name, np.array(pieces.SHOE_HALF), 'box')
    point = scene.position(thing.name) + thing.grip * axes[:, 2]
    yaw = float(np.arctan2(axes[1, 0], axes[0, 0]))
    if thing.slanted:
        yaw -= SIGN[thing.side] * _INWARD_YAW
    held = scene.holds(thing.side, point, thing.width)
    return Grasp(point, thing.width, float(np.clip(yaw, -_MOST_YAW, _MOST_YAW)), held)


def put(scene: Scene, thing: Thing, goal: Array, table_z: float) -> Waypoint:
    """Bring a held thing over ``goal`` (3,) m, straighten it, lower it, let go."""
    side, centre = thing.side, scene.position(thing.name)
    tool, axes = scene.tcp(side), scene.tool_axes(side)
    slant = float(np.arctan2(axes[1, 2], axes[0, 2]))
    forward = scene.axes(thing.name)[:, 0]
    turned = float(np.arctan2(forward[1], forward[0]))
    straight = float(np.clip(slant - turned, -_MOST_YAW, _MOST_YAW))
    level = grasp_axes(side, GRASP_TILT_RAD, straight)
    grip = tool - centre
    aside = (goal - centre) * (1.0, 1.0, 0.0)
    left = float(np.linalg.norm(aside))
    travel = table_z + _TRAVEL + thing.below
    if left < _BESIDE_M and centre[2] < goal[2] + 0.012:
        return Waypoint('release', {side: HandGoal(tool, level, 0.0)})
    started = centre[2] < travel - 0.02
    if left < (_BESIDE_M if started else 0.6 * _BESIDE_M):
        # small steps keep the hand on the vertical; half as much again makes up for arms that give way
        down = max(goal[2] + 0.004, centre[2] - _STEP_M)
        low = np.array([*(centre + 1.5 * aside)[:2], down])
        return Waypoint('lower', {side: HandGoal(low + grip, level, 1.0)})
    if centre[2] < travel - 0.03 and left > 0.03:
        up = np.array([centre[0], centre[1], travel + 0.01])
        return Waypoint('lift', {side: HandGoal(up + grip, axes, 1.0)})
    over = np.array([goal[0], goal[1], travel])
    return Waypoint('carry', {side: HandGoal(over + grip, level, 1.0)})


def low(scene: Scene, side: str, table_z: float) -> bool:
    """Whether a hand is so low over the table that it must rise before it goes home."""
    x, _, z = scene.tcp(side)
    return bool(x > TABLE_EDGE_X + 0.05 and z < table_z + _CLEAR - 0.01)


def rise(scene: Scene, side: str, table_z: float) -> Waypoint:
    """Open the hand where it is, then go straight up."""
    tool = scene.tcp(side)
    goal = tool if scene.gap(side) < OPEN_M else np.array([*tool[:2], table_z + _CLEAR + 0.01])
    return Waypoint('leave', {side: HandGoal(goal, scene.tool_axes(side), 0.0)})
