"""Furniture with joints: lids that slide, doors that turn, and how a hand moves them by their handles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from lwd_sim.robot.g1_model import FURNITURE_CONTACT
from lwd_sim.tasks.base import HandGoal, Waypoint
from lwd_sim.tasks.grasping import Grasp, find_grasp, width_between
from lwd_sim.tasks.scene import Array, Scene
from lwd_sim.tasks.tabletop import TABLE_TOP_Z, ItemKind

TOP_Z = 0.088  # m, top of the chest over the table
INNER_HALF = 0.065  # m, of the opening
OPENING_Y = 0.065  # m, its centre from the chest's, on the items' side
LID_TRAVEL = 0.13  # m
KNOB_Y = -0.025  # m, of the closed lid
KNOB_Z = TOP_Z + 0.038  # m, where a hand takes it
KNOB_WIDTH = 0.022
COOLER_DEPTH = 0.115  # m, inside
COOLER_INNER_HALF = 0.135  # m, inside, across
HINGE_Y = 0.141  # m, of the door from the cooler's middle
HANDLE_RADIUS = 0.19  # m, of the bar from the hinge along the door
HANDLE_OFF = 0.063  # m, before the door
HANDLE_Z = 0.125  # m over the table, where a hand takes the bar
HANDLE_WIDTH = 0.016
DOOR_TOP_Z = 0.155
_WIDEST_M = 0.066  # what the open hand passes over
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


def cooler_xml(name: str, sign: float) -> str:
    """A small cooler with a glass door, hinged on the side of ``sign`` (+1 left), and a bar to pull it by.

    The body frame is the middle of its front on the table, the door's joint ``<name>_door``.
    """
    deep, wide = COOLER_DEPTH / 2, COOLER_INNER_HALF + 0.012
    boxes = (
        (deep, 0.0, 0.006, deep, wide, 0.006),
        (2 * deep + 0.006, 0.0, 0.106, 0.006, wide, 0.106),
        (deep, wide - 0.006, 0.106, deep, 0.006, 0.106),
        (deep, 0.006 - wide, 0.106, deep, 0.006, 0.106),
        (deep, 0.0, 0.212, deep + 0.012, wide, 0.006),
    )
    across, dark = -sign * HANDLE_RADIUS, '0.15 0.15 0.18 1'
    door = (
        joint_xml(f'{name}_door', 'hinge', f'0 0 {-sign}', 1.75, damping=0.25, friction=0.08)
        + f'<geom name="{name}_door" type="box" pos="-0.008 {-sign * 0.138} 0.087" size="0.006 0.138 0.068" '
        f'mass="0.6" rgba="0.55 0.80 0.92 0.4" {FURNITURE_CONTACT}/>'
        f'<geom type="box" pos="{-HANDLE_OFF / 2} {across} 0.078" size="{HANDLE_OFF / 2} 0.006 0.006" mass="0.02" '
        f'rgba="{dark}" {FURNITURE_CONTACT}/>'
        + post_xml(
            f'{name}_handle', HANDLE_WIDTH / 2, 0.042, f'{-HANDLE_OFF} {across} 0.114', dark
        )
    )
    return (
        f'<body name="{name}" pos="0.985 0 {TABLE_TOP_Z}">{boxes_xml(boxes, _WHITE)}'
        f'<body name="{name}_door" pos="0 {sign * HINGE_Y} 0">{door}</body></body>'
    )


def handle_offset(sign: float, angle: float) -> Array:
    """Where a cooler's handle is when the door is ``angle`` rad open, (3,) m from the middle of its front."""
    along = np.array([-np.sin(angle), -sign * np.cos(angle), 0.0])
    outward = np.array([-np.cos(angle), sign * np.sin(angle), 0.0])
    hinge = np.array([0.0, sign * HINGE_Y, HANDLE_Z])
    offset: Array = hinge + HANDLE_RADIUS * along + HANDLE_OFF * outward
    return offset


def reach_tilt(x: float) -> float:
    """The tilt, rad, at which a hand ``x`` m ahead of the base has most room in its joints (.89-.97 m high)."""
    return float(
        np.clip(np.deg2rad(60.0 - 175.0 * (x - 0.92)), np.deg2rad(36.0), np.deg2rad(86.0))
    )


def boxes_xml(boxes: Sequence[tuple[float, ...]], rgba: str) -> str:
    """Boxes of furniture, each (centre x, y, z, half sizes x, y, z) m."""
    return ''.join(
        f'<geom type="box" pos="{x} {y} {z}" size="{sx} {sy} {sz}" rgba="{rgba}" {FURNITURE_CONTACT}/>'
        for x, y, z, sx, sy, sz in boxes
    )


def pull(side: str, handle: Array, towards: Array, axes: Array) -> Waypoint:
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


def fitting_grasp(scene: Scene, side: str, kind: ItemKind, yaws: Sequence[float]) -> Grasp:
    """How to take an item, a turned or fallen one at that of the hand's ``yaws``, rad, at which it is narrowest."""
    best = find_grasp(scene, side, kind.name, kind.half_sizes, kind.shape)
    if best.held or best.width < _WIDEST_M:
        return best
    best, item = replace(best, width=np.inf), scene.axes(kind.name)
    for yaw in yaws:
        closing = np.array([-np.sin(yaw), np.cos(yaw), 0.0])
        width = width_between(closing, item, kind.half_sizes, kind.shape)
        if width < best.width - 0.002:
            best = replace(best, yaw=yaw, width=width)
    return replace(best, width=min(best.width, _WIDEST_M))
