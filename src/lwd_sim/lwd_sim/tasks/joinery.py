"""Furniture with joints: lids that slide, doors that turn, and how a hand moves them by their handles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from lwd_sim.robot.g1_model import FURNITURE_CONTACT
from lwd_sim.tasks.base import HandGoal, Waypoint
from lwd_sim.tasks.scene import Array, Scene
from lwd_sim.tasks.tabletop import TABLE_TOP_Z

TOP_Z = 0.088  # m, top of the chest over the table
INNER_HALF = 0.065  # m, of the opening
OPENING_Y = 0.065  # m, its centre from the chest's, on the items' side
LID_TRAVEL = 0.13  # m
KNOB_Y = -0.025  # m, of the closed lid
KNOB_Z = TOP_Z + 0.038  # m, where a hand takes it
KNOB_WIDTH = 0.022
_WHITE = '0.93 0.95 0.97 1'
_AHEAD_M = 0.06  # how far ahead on its path a held handle is pulled
_CLEAR_GAP_M = 0.03  # how much wider than the handle a hand opens before it leaves it


def joint_xml(
    name: str,
    kind: Literal['slide', 'hinge'],
    axis: str,
    upper: float,
    *,
    damping: float,
    friction: float,
) -> str:
    """A slide (m) or hinge (rad) from 0, closed, to ``upper``; damping and dry friction keep it where it is left.

    ``damping`` in N s/m or N m s/rad, ``friction`` in N or N m.
    """
    return (
        f'<joint name="{name}" type="{kind}" axis="{axis}" range="0 {upper}" damping="{damping}" '
        f'frictionloss="{friction}" armature="0.005"/>'
    )


def post_xml(name: str, radius: float, half_height: float, pos: str, rgba: str) -> str:
    """An upright handle that a hand can take from any side; radius and half height in m."""
    return (
        f'<geom name="{name}" type="cylinder" size="{radius} {half_height}" pos="{pos}" mass="0.03" '
        f'friction="1.2 0.02 0.002" rgba="{rgba}" {FURNITURE_CONTACT}/>'
    )


def chest_xml(name: str) -> str:
    """A chest freezer with its opening on +y, and a glass lid that slides to -y over the closed part.

    The body frame is the centre of its footprint, the lid's joint ``<name>_lid``.
    """
    half = TOP_Z / 2
    boxes = (
        # centre x, y, z; half sizes
        (0.0, 0.065, 0.003, 0.065, 0.065, 0.003),
        (0.071, -0.024, half, 0.006, 0.166, half),
        (-0.071, -0.024, half, 0.006, 0.166, half),
        (0.0, 0.136, half, 0.065, 0.006, half),
        (0.0, -0.006, half, 0.065, 0.006, half),
        (0.0, -0.184, half, 0.065, 0.006, half),
        (0.0, -0.095, TOP_Z - 0.003, 0.065, 0.083, 0.003),
    )
    lid = (
        joint_xml(f'{name}_lid', 'slide', '0 -1 0', LID_TRAVEL, damping=6.0, friction=1.0)
        + f'<geom name="{name}_lid" type="box" pos="0 0.0475 0.005" size="0.072 0.0925 0.003" mass="0.3" '
        f'rgba="0.35 0.65 0.85 0.6" {FURNITURE_CONTACT}/>'
        + post_xml(f'{name}_knob', KNOB_WIDTH / 2, 0.020, f'0 {KNOB_Y} 0.028', '0.15 0.15 0.18 1')
    )
    return (
        f'<body name="{name}" pos="0.9 0 {TABLE_TOP_Z}">{boxes_xml(boxes, _WHITE)}'
        f'<body name="{name}_lid" pos="0 0 {TOP_Z}">{lid}</body></body>'
    )


def boxes_xml(boxes: Sequence[tuple[float, ...]], rgba: str) -> str:
    """Boxes of furniture, each (centre x, y, z, half sizes x, y, z) m."""
    return ''.join(
        f'<geom type="box" pos="{x} {y} {z}" size="{sx} {sy} {sz}" rgba="{rgba}" {FURNITURE_CONTACT}/>'
        for x, y, z, sx, sy, sz in boxes
    )


def pull(scene: Scene, side: str, handle: Array, towards: Array, axes: Array) -> Waypoint:
    """Move a held handle from ``handle`` (3,) to ``towards`` (3,), a little ahead at a time to stay on its path."""
    left = towards - handle
    distance = float(np.linalg.norm(left))
    ahead = handle + left * min(1.0, _AHEAD_M / max(distance, 1e-6))
    return Waypoint('pull', {side: HandGoal(ahead, axes, 1.0)})


def let_go(scene: Scene, side: str, handle: Array, width: float, axes: Array) -> Waypoint | None:
    """Open a hand that is closed around a handle; None once it may leave."""
    near = np.linalg.norm(scene.tcp(side) - handle) < 0.04
    if near and scene.gap(side) < width + _CLEAR_GAP_M:
        return Waypoint('release', {side: HandGoal(scene.tcp(side), axes, 0.0)})
    return None
