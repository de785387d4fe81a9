"""The motion that pouring tasks share: take a vessel, tip it over another by rolling the hand, put it down, back off.

The G1's last joint turns the hand about its approach nearly all the way round, so a vessel that is held from the side
(a small tilt) tips without any other joint near its limit. Geometry alone decides, as in ``grasping``.
"""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np

from lwd_sim.tasks.base import HandGoal, Waypoint
from lwd_sim.tasks.beads import Vessel
from lwd_sim.tasks.scene import Array, Scene, grasp_axes
from lwd_sim.tasks.tabletop import TABLE_EDGE_X

POUR_TILT_RAD = np.deg2rad(33.0)  # of a side grasp
POUR_YAW_RAD = {'l': np.deg2rad(-25.0), 'r': np.deg2rad(25.0)}  # each arm comes from its side
# A more upright waist and a lower lift (rad, m) bring side grasps into reach with a bent wrist: the arm does not
# have to pass its wrist singularity on the way. The head still looks at the table.
POUR_BODY_POSE = {
    'idx01_body_joint1': 0.3,
    'idx02_body_joint2': 0.6,
    'idx12_head_joint2': 0.51,
}
_FULL_ROLL_RAD = np.deg2rad(140.0)
_POUR_ROLL_RAD = np.deg2rad(90.0)  # about where most of it leaves
_POUR_PACE = 0.25  # of full speed, while it flows
_ROLL_STEP_RAD = 0.3  # how far ahead of the present roll the hand aims
_UPRIGHT_ROLL_RAD = 0.12
_RIM_CLEARANCE_M = 0.012
_LEAP_M = 0.022  # how far it flies from the edge while it falls
_DRIFT_M = 0.008  # and how far to the side
_TRAVEL_M = 0.03  # higher than the rim that is to be poured into
_TURN_ABOVE_M = 0.035  # above the height of travel
_NEAR_GOAL_M = 0.06
_STANDOFF_M = 0.07  # from where the last straight approach begins
_COMMITTED_M = 0.055  # nearer than this a hand that strays a little goes on
_TURNED_TRACE = 1 + 2 * np.cos(0.4)
_NEAR_M = 0.02
_CLEAR_M = 0.085
_ASKEW_M = 0.008
_BETWEEN_M = (0.06, 0.045)  # across and above: further out a grip is not between the fingers
_STARTED_GAP_M = 0.09  # narrower than that, a hand has begun to close


def hand_axes(side: str, roll: float = 0.0, yaw: float | None = None) -> Array:
    """Tool frame (3, 3) of a side grasp, rolled by ``roll`` rad about its approach (positive: to the robot's right)."""
    axes = grasp_axes(side, POUR_TILT_RAD, POUR_YAW_RAD[side] if yaw is None else yaw)
    turn, about = np.empty(9), np.empty(4)
    mujoco.mju_axisAngle2Quat(about, axes[:, 2], roll)
    mujoco.mju_quat2Mat(turn, about)
    rolled: Array = turn.reshape(3, 3) @ axes
    return rolled


def hand_roll(scene: Scene, side: str) -> float:
    """How far a hand is rolled about its approach, rad; 0 with a level closing axis."""
    tool = scene.tool_axes(side)
    level = np.array([-tool[1, 2], tool[0, 2], 0.0]) * (1.0 if side == 'l' else -1.0)
    closing = tool[:, 0]
    return float(np.arctan2(closing @ np.cross(tool[:, 2], level), closing @ level))


def grip_point(scene: Scene, vessel: Vessel) -> Array:
    """Where a hand takes a vessel, (3,) m in the base frame."""
    return scene.position(vessel.name) + scene.axes(vessel.name) @ vessel.grip


def holds(scene: Scene, side: str, vessel: Vessel) -> bool:
    """Whether a hand holds a vessel at its grip, though it may be askew between the pads."""
    return scene.holds(side, grip_point(scene, vessel), vessel.grip_width + _ASKEW_M)


def upright(scene: Scene, vessel: Vessel) -> bool:
    """Whether a vessel stands, or is held, within 25 deg of upright."""
    return bool(scene.axes(vessel.name)[2, 2] > 0.9)


def straight(scene: Scene, side: str, goal: HandGoal) -> HandGoal:
    """A goal on the straight line to ``goal``, near enough for joint motion not to leave that line."""
    way = goal.position - scene.tcp(side)
    far = float(np.linalg.norm(way))
    if far < _NEAR_GOAL_M:
        return goal
    return replace(goal, position=goal.position - way * (1.0 - _NEAR_GOAL_M / far))


def keep(scene: Scene, side: str, vessel: Vessel, foot: Array, axes: Array) -> HandGoal:
    """For a hand to bring the vessel that it holds to ``foot`` (3,) m and itself to ``axes`` (3, 3), straight."""
    in_hand = scene.tool_axes(side).T @ (scene.position(vessel.name) - scene.tcp(side))
    return straight(scene, side, HandGoal(foot - axes @ in_hand, axes, 1.0))


def take(scene: Scene, side: str, vessel: Vessel, error: Array) -> Waypoint:
    """Next waypoint to take a standing vessel from the side, missing it by ``error`` (3,) m."""
    turn = vessel.grip_turn
    forward = scene.axes(vessel.name) @ np.array([np.cos(turn), np.sin(turn), 0.0])
    usual = POUR_YAW_RAD[side]
    yaw = usual
    if vessel.handle:
        yaw = float(np.clip(np.arctan2(forward[1], forward[0]), usual - 0.4, usual + 0.4))
    axes = hand_axes(side, yaw=yaw)
    tcp, grip, gap = scene.tcp(side), grip_point(scene, vessel) + error, scene.gap(side)
    along = float((tcp - grip) @ axes[:, 2])
    aside = float(np.linalg.norm(tcp - grip - along * axes[:, 2]))
    closing = gap < vessel.grip_width + 0.035
    turned = float(np.einsum('ij,ij->', axes, scene.tool_axes(side)))
    slack = 0.03 if closing else 0.022 if gap < _STARTED_GAP_M else 0.015
    if np.hypot(along, aside) < slack:
        return Waypoint('grasp', {side: HandGoal(grip, axes, 1.0)})
    room = 0.024 if along > -_COMMITTED_M else 0.015
    if not closing and turned > _TURNED_TRACE and along < 0.02 and aside < room:
        ahead = grip + min(0.0, along + 0.03) * axes[:, 2]
        return Waypoint('approach', {side: HandGoal(ahead, axes, 0.0, 0.8)})
    standoff = grip - _STANDOFF_M * axes[:, 2]
    if tcp[0] < TABLE_EDGE_X and tcp[2] < grip[2] + 0.06:  # beside the table: rise before going on
        standoff = np.array([min(tcp[0], 0.72), tcp[1], grip[2] + 0.14])
    elif along > -0.05 and aside > 0.02:  # beside it: back off first, then come again
        standoff = tcp - 0.06 * axes[:, 2]
    elif tcp[0] < TABLE_EDGE_X:
        standoff[2] += 0.06
    return Waypoint('reach', {side: HandGoal(standoff, axes, 0.0)})


def pour(
    scene: Scene, side: str, vessel: Vessel, into: Vessel, direction: float, error: Array
) -> Waypoint:
    """Next waypoint to tip a held vessel over another one, to the robot's right (``direction`` 1) or left (-1).

    It travels upright above the other's rim; rolling then keeps the edge that is poured over above its middle,
    and comes down as far as the vessel clears the rim.
    """
    stream = hand_axes(side, direction * _POUR_ROLL_RAD) @ hand_axes(side).T[:, 2]
    mouth = scene.position(into.name) + error
    ahead = stream[:2] / np.linalg.norm(stream[:2])
    mouth[:2] -= _LEAP_M * ahead + _DRIFT_M * direction * np.array([ahead[1], -ahead[0]])
    mouth[2] = scene.position(into.name)[2] + into.height
    roll = hand_roll(scene, side) * direction
    edge = _edge(scene, side, vessel, direction)
    now = scene.position(vessel.name) + scene.axes(vessel.name) @ edge
    aside = float(np.linalg.norm((mouth - now)[:2]))
    if aside > (_NEAR_M if roll < _UPRIGHT_ROLL_RAD else 2 * _NEAR_M):
        height = mouth[2] + vessel.height + _TRAVEL_M
        if now[2] < height - 0.05 and aside > 0.05:
            up = np.array([now[0], now[1], height + 0.005])
            lift = _edge_goal(scene, side, vessel, edge, up, 0.0)
            return Waypoint('lift', {side: straight(scene, side, lift)})
        over = np.array([mouth[0], mouth[1], height])
        carry = _edge_goal(scene, side, vessel, edge, over, 0.0)
        return Waypoint('carry', {side: straight(scene, side, carry)})
    wanted = min(roll + _ROLL_STEP_RAD, _FULL_ROLL_RAD)
    lean = np.sin(POUR_TILT_RAD) ** 2 + np.cos(wanted) * np.cos(POUR_TILT_RAD) ** 2
    over = np.array([mouth[0], mouth[1], mouth[2] + _RIM_CLEARANCE_M])
    over[2] += vessel.height * max(lean, 0.0)
    pace = _POUR_PACE if lean < 0.3 else 0.7
    goal = _edge_goal(scene, side, vessel, edge, over, wanted * direction, pace)
    return Waypoint('pour', {side: goal})


def put(scene: Scene, side: str, vessel: Vessel, spot: Array, travel: float) -> Waypoint:
    """Next waypoint to stand a held vessel on ``spot`` (3,) m and let go; its foot travels at height ``travel`` m."""
    foot = scene.position(vessel.name)
    axes = hand_axes(side)
    grip = axes @ scene.tool_axes(side).T @ (scene.tcp(side) - foot)  # once the hand is upright
    left = float(np.linalg.norm((spot - foot)[:2]))
    if (
        abs(hand_roll(scene, side)) > _UPRIGHT_ROLL_RAD
    ):  # rise over what was poured into, then turn
        tcp = scene.tcp(side)
        high = travel + _TURN_ABOVE_M + vessel.grip[2]
        turned = axes if tcp[2] > high - 0.02 else scene.tool_axes(side)
        rise = HandGoal(np.array([tcp[0], tcp[1], max(tcp[2], high)]), turned, 1.0)
        return Waypoint('turn back', {side: straight(scene, side, rise)})
    if left < 0.015:
        slant = float(np.linalg.norm(scene.axes(vessel.name)[2, :2]))
        if foot[2] - slant * vessel.width / 2 > spot[2] + 0.006:  # its lowest point
            return Waypoint('lower', {side: HandGoal(spot + grip, axes, 1.0, 0.6)})
        return Waypoint('release', {side: HandGoal(scene.tcp(side), axes, 0.0)})
    height = travel if left > 0.03 else max(spot[2] + 0.02, foot[2])
    if foot[2] < height - 0.025 and left > 0.05:
        up = np.array([foot[0], foot[1], height + 0.01])
        return Waypoint('lift', {side: straight(scene, side, HandGoal(up + grip, axes, 1.0))})
    over = np.array([*spot[:2], height])
    return Waypoint('carry', {side: straight(scene, side, HandGoal(over + grip, axes, 1.0))})


def back_off(
    scene: Scene, side: str, vessels: tuple[Vessel, ...], wanted: Vessel | None = None
) -> HandGoal | None:
    """Away from what was let go, along the approach; None when none of ``vessels`` is between the fingers.

    A hand that is nearer to the ``wanted`` vessel than to the others is on its way to it, and clear.
    """
    tcp, axes = scene.tcp(side), scene.tool_axes(side)
    offsets = [axes.T @ (grip_point(scene, vessel) - tcp) for vessel in vessels]
    between = [off for off in offsets if (np.abs(off[:2]) < _BETWEEN_M).all()]
    nearest = min((float(np.linalg.norm(off)) for off in between), default=np.inf)
    limit = _CLEAR_M
    if wanted is not None:
        limit = min(limit, float(np.linalg.norm(tcp - grip_point(scene, wanted))))
    if nearest > limit:
        return None
    open_enough = scene.gap(side) > 0.06
    return HandGoal(tcp - (0.05 if open_enough else 0.0) * axes[:, 2], axes, 0.0)


def _edge(scene: Scene, side: str, vessel: Vessel, direction: float) -> Array:
    """The point of the rim that is lowest while it is poured over, (3,) m in the vessel's frame."""
    in_hand = scene.tool_axes(side).T @ scene.axes(vessel.name)
    tipped = hand_axes(side, direction * _POUR_ROLL_RAD) @ in_hand
    out = -tipped[2, :2]
    return np.array([*(out / np.linalg.norm(out) * vessel.inner), vessel.height])


def _edge_goal(
    scene: Scene,
    side: str,
    vessel: Vessel,
    edge: Array,
    place: Array,
    roll: float,
    speed: float = 1.0,
) -> HandGoal:
    """Where a hand rolled by ``roll`` rad has to be for the vessel's ``edge`` to be at ``place``, m."""
    now = scene.position(vessel.name) + scene.axes(vessel.name) @ edge
    in_hand = scene.tool_axes(side).T @ (now - scene.tcp(side))
    axes = hand_axes(side, roll)
    return HandGoal(place - axes @ in_hand, axes, 1.0, speed)
