"""The shaker of the cocktail task: one hand takes it, the other joins in the air, both move it up and down."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lwd_sim.tasks.base import HandGoal, Waypoint
from lwd_sim.tasks.beads import Vessel
from lwd_sim.tasks.pouring import back_off, grip_point, hand_axes, holds, keep, take
from lwd_sim.tasks.scene import SIDES, Array, Scene

SHAKER_YAW = np.deg2rad(38.0)  # each hand's, to its own handle
SHAKER = Vessel(
    'shaker',
    'shaker',
    (0.62, 0.64, 0.68),
    0.029,
    0.075,
    handle=True,
    handle_out=0.036,  # room for one hand beside the other
    second_turn=2 * SHAKER_YAW,
    mass=0.15,
)
SHAKER_OF = {'l': SHAKER, 'r': replace(SHAKER, grip_turn=SHAKER.second_turn)}
HIGH_M, LOW_M = 0.105, 0.065  # the foot of the shaker above the table at the ends of a stroke
_BEYOND_M = 0.015  # further than that the hands aim
_JOIN_M = 0.10  # where one hand holds it for the other
_NEAR_X = 0.84  # m: a hand that is further over the table is in the way
_SHAKE_AXES = {'l': hand_axes('l', yaw=-SHAKER_YAW), 'r': hand_axes('r', yaw=SHAKER_YAW)}


def in_both_hands(scene: Scene) -> bool:
    """Whether each hand holds the shaker at its own handle."""
    return all(holds(scene, side, SHAKER_OF[side]) for side in SIDES)


def join(scene: Scene, side: str, spot: Array, error: Array) -> Waypoint:
    """The hand ``side`` takes its handle, missing it by ``error`` (3,) m; the other holds the shaker over ``spot``.

    So high that the hands are clear of the glass and the jiggers.
    """
    other = 'r' if side == 'l' else 'l'
    up = spot + np.array([0.0, 0.0, _JOIN_M])
    hands = {other: keep(scene, other, SHAKER, up, _SHAKE_AXES[other])}
    if scene.position(SHAKER.name)[2] < up[2] - 0.05:
        return Waypoint('lift', hands)
    joining = take(scene, side, SHAKER_OF[side], error).hands[side]
    return Waypoint('join', hands | {side: replace(joining, speed=0.6)})


def stroke(scene: Scene, spot: Array, up: bool) -> Waypoint:
    """Both hands move the shaker over ``spot`` (3,) m to the upper or lower end of a stroke."""
    foot = spot + np.array([0.0, 0.0, HIGH_M + _BEYOND_M if up else LOW_M - _BEYOND_M])
    way = foot - scene.position(SHAKER.name)
    hands = {
        side: HandGoal(grip_point(scene, SHAKER_OF[side]) + way, _SHAKE_AXES[side], 1.0, 0.5)
        for side in SIDES
    }
    return Waypoint('shake', hands)


def let_go(scene: Scene, spot: Array) -> Waypoint | None:
    """The left hand holds the shaker up over ``spot`` until the right one is off it and past the glass; then None."""
    tcp, axes = scene.tcp('r'), scene.tool_axes('r')
    away = back_off(scene, 'r', (SHAKER_OF['r'],))
    if away is None and tcp[0] < _NEAR_X:
        return None
    up = keep(scene, 'l', SHAKER, spot + np.array([0.0, 0.0, _JOIN_M]), _SHAKE_AXES['l'])
    return Waypoint('let go', {'l': up, 'r': away or HandGoal(tcp - 0.05 * axes[:, 2], axes, 0.0)})


def without(scene: Scene, side: str, waypoint: Waypoint) -> Waypoint:
    """The same waypoint, while the hand ``side``, which is not needed, lets go of the shaker and backs off."""
    away = back_off(scene, side, tuple(SHAKER_OF.values())[0 if side == 'l' else 1 :])
    if away is None:
        return waypoint
    return Waypoint(waypoint.stage, waypoint.hands | {side: away})
