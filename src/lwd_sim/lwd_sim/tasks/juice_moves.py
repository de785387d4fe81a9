"""What the hands do in the juice task: the left one carries, the right one presses the blade down."""

from __future__ import annotations

import numpy as np

from lwd_sim.tasks import juice_stand as stand
from lwd_sim.tasks.base import Aim, HandGoal, Waypoint
from lwd_sim.tasks.grasping import GRASP_TILT_RAD, carry, pick
from lwd_sim.tasks.juice_stand import Places, Thing
from lwd_sim.tasks.scene import Scene, grasp_axes

_PRESS_TILT = np.deg2rad(75.0)
_FINGER_TIP_M = 0.022  # below the tool centre of a hand that presses
_HOPPER_TILT = np.deg2rad(48.0)  # the hopper stands further back: a flatter hand reaches it
_CUP_TILT = np.deg2rad(74.0)  # the cup and the tray are nearer: a steeper one
_SEAT_CARE = 0.4  # share of the usual error: everyone looks closely where a blade will fall
_BESIDE_M = 0.025  # from the middle of the hopper: room for the other piece
_RISE_M = 0.05  # over a thing: a hand that is lower and under the blade goes back before it rises
_OVER_RIM_M = 0.065  # of the middle of a piece: fingers clear the rim
_LOW_M = 0.035  # over the board: how high a hand carries under the raised blade


def take(
    scene: Scene,
    thing: Thing,
    places: Places,
    aim: Aim,
    *,
    beside: Thing | None = None,
    tilt: float = GRASP_TILT_RAD,
) -> Waypoint:
    """Take a thing with the left hand, off the one ``beside`` it; from the board only under a raised blade."""
    board, tcp = places.board, scene.tcp('l')
    point = thing.centre + np.array([0.0, 0.0, 0.004])
    if beside is not None:
        apart = thing.centre - beside.centre
        if np.linalg.norm(apart) < 0.05:
            point += 0.004 * apart / np.linalg.norm(apart)
    if places.on_board(thing.centre):
        axes = grasp_axes('l', GRASP_TILT_RAD)
        if scene.slide('blade') < -stand.BLADE_CLEAR:
            wait = HandGoal(board + np.array([-0.12, 0.0, 0.16]), axes, 0.0)
            return Waypoint('wait', {'l': wait})
        if tcp[0] > board[0] - 0.05 and tcp[1] > board[1] + 0.08:  # come from the front
            front = HandGoal(board + np.array([-0.10, 0.08, 0.16]), axes, 0.0)
            return Waypoint('reach', {'l': front})
    yaw = thing.yaw
    width = thing.width(np.array([-np.sin(yaw), np.cos(yaw), 0.0]))
    move = pick(scene, 'l', point + aim.item, width, yaw=yaw, tilt=tilt)
    low = tcp[2] < thing.centre[2] + _RISE_M
    if move.stage == 'reach' and low and places.in_the_way(tcp):
        back = HandGoal(tcp - np.array([0.08, 0.0, 0.0]), scene.tool_axes('l'), 0.0)
        return Waypoint('reach', {'l': back})
    return move


def seat_fruit(scene: Scene, whole: Thing, places: Places, aim: Aim) -> Waypoint:
    """Carry the held fruit low under the raised blade, turn it across, and set it down."""
    seat = places.seat + _SEAT_CARE * aim.goal
    left = float(np.linalg.norm((seat - whole.centre)[:2]))
    tool, tcp = scene.tool_axes('l'), scene.tcp('l')
    tool_yaw = float(np.arctan2(tool[1, 2], tool[0, 2]))
    fruit_yaw = (np.arctan2(whole.axis[1], whole.axis[0]) + np.pi / 2) % np.pi - np.pi / 2
    turn = tool_yaw - fruit_yaw if abs(fruit_yaw) < 0.8 else 0.0
    axes = grasp_axes('l', GRASP_TILT_RAD, float(np.clip(turn, -0.6, 0.6)))
    grip = tcp - whole.centre
    over = seat + np.array([0.0, 0.0, _LOW_M])
    if whole.centre[2] < over[2] - 0.02 and left > 0.05:
        up = np.array([*whole.centre[:2], over[2] + 0.01])
        return Waypoint('lift', {'l': HandGoal(up + grip, axes, 1.0)})
    if whole.centre[2] > over[2] + 0.025 and left > 0.05:  # too high for the raised blade
        beside = np.array([whole.centre[0], places.board[1] + 0.13, over[2]])
        return Waypoint('carry', {'l': HandGoal(beside + grip, axes, 1.0)})
    if left > 0.008 and whole.centre[2] > seat[2] + 0.012:
        return Waypoint('carry', {'l': HandGoal(over + grip, axes, 1.0)})
    if whole.centre[2] > seat[2] + 0.005 or left > 0.010:
        down = seat + np.array([0.0, 0.0, 0.001])
        return Waypoint('lower', {'l': HandGoal(down + grip, axes, 1.0, 0.6)})
    return Waypoint('release', {'l': HandGoal(tcp, axes, 0.0)})


def press(scene: Scene, places: Places) -> Waypoint:
    """The left hand backs out; then the right one pushes the knob down with closed fingers."""
    hands = {}
    left, right = scene.tcp('l'), scene.tcp('r')
    clear = not places.in_the_way(left)
    if not clear:
        tool = scene.tool_axes('l')
        out = left - 0.08 * tool[:, 2] - np.array([0.04, 0.0, 0.0])
        hands['l'] = HandGoal(out, tool, 0.0)
    top = stand.BOARD_TOP + stand.KNOB_TOP + scene.slide('blade') + _FINGER_TIP_M
    touch = places.board + np.array([0.0, stand.KNOB_Y, top])
    axes = grasp_axes('r', _PRESS_TILT)
    aside = float(np.linalg.norm((right - touch)[:2]))
    above = float(right[2] - touch[2])
    if clear and above > -0.015 and aside < 0.014 + 0.25 * max(0.0, above):
        hands['r'] = HandGoal(touch - np.array([0.0, 0.0, 0.03]), axes, 1.0)
        return Waypoint('press', hands)
    back = -0.10 if above < 0.025 and aside > 0.04 else 0.0  # not from below
    hands['r'] = HandGoal(touch + np.array([back, 0.0, 0.05]), axes, 1.0)
    return Waypoint('reach' if clear else 'leave', hands)


def to_juicer(
    scene: Scene, piece: Thing, places: Places, aim: Aim, inside: Thing | None
) -> Waypoint:
    """Carry a held piece out from under the blade sideways, then up and over the hopper, away from one ``inside``."""
    centre, board = piece.centre, places.board
    if centre[1] < board[1] + 0.10 and centre[2] < board[2] + stand.BLADE_UP:
        grip = scene.tcp('l') - centre
        low = places.seat[2] + _LOW_M
        axes = grasp_axes('l', GRASP_TILT_RAD)
        if places.on_board(centre) and centre[2] < low - 0.02:
            up = np.array([*centre[:2], low + 0.01])
            return Waypoint('lift', {'l': HandGoal(up + grip, axes, 1.0)})
        side = np.array([board[0] - 0.03, board[1] + 0.14, low])
        return Waypoint('carry', {'l': HandGoal(side + grip, axes, 1.0)})
    goal = places.juicer + aim.goal
    free = -1.0 if inside is None else -float(np.sign(inside.centre[1] - places.juicer[1]))
    goal[1] += _BESIDE_M * free
    rim = places.juicer[2] + stand.HOPPER_FLOOR + stand.HOPPER_DEPTH
    return carry(scene, 'l', centre, goal, rim + _OVER_RIM_M, tilt=_HOPPER_TILT)


def serve(scene: Scene, cup: Thing, places: Places, aim: Aim) -> Waypoint:
    """Take the cup, set it down on the tray."""
    if not cup.held(scene, 'l'):
        return take(scene, cup, places, aim, tilt=_CUP_TILT)
    height = places.table_z + stand.TRAY_TOP + cup.half_length
    goal = places.tray + aim.goal
    release = height + 0.006
    return carry(scene, 'l', cup.centre, goal, height + 0.05, tilt=_CUP_TILT, release=release)
