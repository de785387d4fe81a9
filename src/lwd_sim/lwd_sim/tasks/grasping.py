"""The motion that table-top tasks share: approach an item along a tilted line, close, lift, carry, let go.

Every choice is made from geometry, with cones instead of remembered phases, so the motion resumes from any state and
a policy that sees the same state can learn it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lwd_sim.tasks.base import HandGoal, Waypoint
from lwd_sim.tasks.scene import Array, Scene, grasp_axes
from lwd_sim.tasks.tabletop import TABLE_EDGE_X

GRASP_TILT_RAD = np.deg2rad(62.0)
_LEAD_M = 0.04  # how far ahead on the approach line the hand aims
_YAWS = (0.0, -0.3, 0.3, -0.6, 0.6)
_STANDOFF_M = 0.075  # from where the last straight approach begins
_ALIGNED_TRACE = 1 + 2 * np.cos(0.3)  # trace of the rotation left within 0.3 rad


@dataclass(frozen=True, slots=True)
class Grasp:
    """How to take an item as it now lies."""

    point: Array  # tool centre, (3,) m
    width: float  # of the item between the pads, m
    yaw: float  # of the hand, rad
    held: bool  # whether it is held already


def find_grasp(scene: Scene, side: str, name: str, half_sizes: Array, shape: str) -> Grasp:
    """Choose the hand's yaw so that the item, standing or fallen, is narrow between the pads.

    Args:
        scene: the present state.
        side: which hand.
        name: the item's body.
        half_sizes: (3,) m along the item's own axes.
        shape: ``box`` or ``cylinder`` (about the item's z axis).
    """
    item = scene.axes(name)
    centre = scene.position(name)
    closing = scene.tool_axes(side)[:, 0]
    now = width_between(closing, item, half_sizes, shape)
    tool_yaw = float(
        np.clip(np.arctan2(-closing[0] * np.sign(closing[1]), abs(closing[1])), -0.7, 0.7)
    )
    held = scene.holds(side, centre, now)
    if held:
        return Grasp(centre, now, tool_yaw if abs(tool_yaw) > 0.2 else 0.0, True)
    upright = abs(item[2, 2]) > 0.9
    yaws = (0.0,) if upright else _YAWS
    widths = [
        width_between(np.array([-np.sin(yaw), np.cos(yaw), 0.0]), item, half_sizes, shape)
        for yaw in yaws
    ]
    best = int(
        np.argmin([width + 0.01 * abs(yaw) for width, yaw in zip(widths, yaws, strict=True)])
    )
    lift = 0.008 if upright else 0.004
    return Grasp(centre + np.array([0.0, 0.0, lift]), widths[best], yaws[best], False)


def width_between(closing: Array, item: Array, half_sizes: Array, shape: str) -> float:
    """Extent of an item along the closing axis, m."""
    shares = np.abs(item.T @ closing)
    if shape == 'cylinder':
        across = np.sqrt(max(0.0, 1.0 - shares[2] ** 2))
        return float(2 * (across * half_sizes[0] + shares[2] * half_sizes[2]))
    return float(2 * shares @ half_sizes)


def pick(
    scene: Scene,
    side: str,
    grasp: Array,
    width: float,
    *,
    yaw: float = 0.0,
    tilt: float = GRASP_TILT_RAD,
    entry: tuple[float, float, float] = (-0.02, 0.0, 0.06),
    turned_rad: float = 0.6,
    speed: float = 1.0,
    lead: float = _LEAD_M,
) -> Waypoint:
    """Next waypoint to take a thing ``width`` m wide at ``grasp`` (3,) with one hand; call while it is not held.

    ``yaw`` and ``tilt`` turn the approach, rad. ``entry`` is where a hand that comes from home turns, seen from the
    beginning of the approach, m: by default above, clear of the table's edge and of other items; it goes on from
    there when it is turned right to within ``turned_rad``. On the last approach the hand aims ``lead`` m
    ahead on the line.
    """
    axes = grasp_axes(side, tilt, yaw)
    tcp, gap = scene.tcp(side), scene.gap(side)
    offset = tcp - grasp
    along = float(offset @ axes[:, 2])
    aside = float(np.linalg.norm(offset - along * axes[:, 2]))
    distance = float(np.linalg.norm(offset))
    closing = gap < width + 0.035
    trace = float(np.einsum('ij,ij->', axes, scene.tool_axes(side)))
    aligned, turned = trace > _ALIGNED_TRACE, trace > 1 + 2 * np.cos(turned_rad)
    if distance < 0.014 or (closing and distance < 0.03 and gap > width - 0.004):
        return Waypoint('grasp', {side: HandGoal(grasp, axes, 1.0)})
    if not closing and aligned and along < 0.02 and aside < 0.010 + 0.24 * abs(along):
        # near goals keep the hand on the line
        ahead = grasp + min(0.0, along + lead) * axes[:, 2]
        return Waypoint('approach', {side: HandGoal(ahead, axes, 0.0, speed)})
    standoff = grasp - _STANDOFF_M * axes[:, 2]
    beside_and_low = distance < 0.16 and aside > 0.05 and tcp[2] < grasp[2] + 0.06
    if beside_and_low:  # rise before coming back
        standoff = np.array([tcp[0] - 0.04, tcp[1], grasp[2] + 0.11])
    elif tcp[0] < TABLE_EDGE_X or not turned:
        standoff = standoff + np.array(entry)
    return Waypoint('reach', {side: HandGoal(standoff, axes, 0.0, speed)})


def carry(
    scene: Scene,
    side: str,
    centre: Array,
    goal: Array,
    height: float,
    *,
    yaw: float = 0.0,
    tilt: float = GRASP_TILT_RAD,
    release: float | None = None,
) -> Waypoint:
    """Next waypoint to bring a held thing from ``centre`` (3,) over ``goal`` (3,) and let go.

    ``height`` is where the thing's centre travels, ``release`` where it is let go, m in the base frame; the same
    height if None.
    """
    axes = grasp_axes(side, tilt, yaw)
    grip = scene.tcp(side) - centre
    left = float(np.linalg.norm(goal[:2] - centre[:2]))
    over = np.array([goal[0], goal[1], height])
    if release is not None and left < 0.03:
        if centre[2] > release + 0.012:
            lower = HandGoal(np.array([goal[0], goal[1], release]) + grip, axes, 1.0)
            return Waypoint('lower', {side: lower})
        return Waypoint('release', {side: HandGoal(scene.tcp(side), axes, 0.0)})
    if release is None and left < 0.022 and centre[2] < height + 0.04:
        return Waypoint('release', {side: HandGoal(over + grip, axes, 0.0)})
    if centre[2] < height - 0.025 and left > 0.05:
        lift = np.array([centre[0], centre[1], height + 0.01])
        return Waypoint('lift', {side: HandGoal(lift + grip, axes, 1.0)})
    return Waypoint('carry', {side: HandGoal(over + grip, axes, 1.0)})


def leave(scene: Scene, side: str, z: float) -> Waypoint:
    """Open the hand where it is, rise to ``z`` m, and go home from there."""
    tcp = scene.tcp(side)
    if tcp[2] < z - 0.01 and tcp[0] > 0.75:
        axes = grasp_axes(side, GRASP_TILT_RAD)
        return Waypoint('leave', {side: HandGoal(np.array([tcp[0], tcp[1], z]), axes, 0.0)})
    return Waypoint('home')
