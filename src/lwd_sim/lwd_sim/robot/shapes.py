"""What the G1 looks like: primitives and camera mounts by link, in the link's frame, m.

The only place that states them; the MJCF (``g1_model``) and the URDF (``urdf``) are both made from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, sin

Vector = tuple[float, float, float]

SHELL = '0.82 0.83 0.85 1'
DARK = '0.20 0.21 0.24 1'
PAD = '0.95 0.45 0.05 1'  # a colour no item has, so that small pictures show the fingers

FINGER_STROKE_M = 0.05  # travel of one finger from open to closed
FINGER_GAP_CLOSED_M = 0.004  # between the pads when fully closed
PAD_HALF = (0.013, 0.005, 0.024)  # m: across, along the closing axis, along the approach
_PAD_CENTRE_Z = 0.138  # m from the flange
_HEAD_TILT_UP_RAD = (
    0.39  # mounting angle of the head camera: its axis meets the table top 0.9 m ahead
)


@dataclass(frozen=True, slots=True)
class Capsule:
    """A cylinder with round ends."""

    start: Vector
    end: Vector
    radius: float
    rgba: str


@dataclass(frozen=True, slots=True)
class Box:
    """Axis-aligned in its link."""

    half: Vector
    centre: Vector
    rgba: str


@dataclass(frozen=True, slots=True)
class Mount:
    """A camera: where it is, what is right and up in its picture, its vertical field of view in degrees."""

    camera: str
    place: Vector
    right: Vector
    up: Vector
    fovy: float


FOOT_RADIUS, FOOT_HALF_HEIGHT, FOOT_CENTRE = 0.24, 0.09, (0.0, 0.0, 0.12)  # the wheeled base
COLUMN = Capsule((0, 0, 0.2), (0, 0, 0.75), 0.08, SHELL)
CAMERAS = ('head', 'hand_left', 'hand_right')
PALM = Box((0.025, 0.055, 0.025), (0, 0, 0.065), DARK)

_LINK_CAPSULES = {
    'body_link1': Capsule((0, 0, -0.25), (0.1, 0, 0), 0.10, DARK),
    'body_link2': Capsule((0, -0.02, 0), (0, -0.30, 0), 0.09, SHELL),
    'head_link1': Capsule((0, 0, 0), (0, 0, 0.05), 0.045, DARK),
    'head_link2': Capsule((-0.03, -0.01, 0.03), (-0.03, -0.01, -0.03), 0.06, SHELL),
    'arm_l_link1': Capsule((0, 0, -0.12), (0, 0, 0), 0.055, SHELL),
    'arm_l_link2': Capsule((0, 0, 0), (0, -0.20, 0), 0.048, SHELL),
    'arm_l_link3': Capsule((0, 0, 0), (0, 0, -0.10), 0.045, DARK),
    'arm_l_link4': Capsule((0, 0, 0), (0, -0.10, 0), 0.042, SHELL),
    'arm_l_link5': Capsule((0, 0, 0), (0, 0, -0.09), 0.040, DARK),
    'arm_l_link6': Capsule((0, 0, 0), (0, -0.11, 0), 0.038, SHELL),
    'arm_l_end_link': Capsule((0, 0, -0.04), (0, 0, 0.01), 0.034, DARK),
}


def link_capsule(link: str) -> Capsule | None:
    """The capsule of a moving link; both arms look alike."""
    return _LINK_CAPSULES.get(link.replace('arm_r', 'arm_l'))


def finger_sign(link: str) -> float:
    """Side of the hand's y axis on which a finger stands: -1 inner, 1 outer."""
    return -1.0 if 'inner' in link else 1.0


def finger_boxes(sign: float) -> tuple[Box, Box]:
    """Pad and shank of an open finger, in the gripper base's frame."""
    y = sign * (FINGER_STROKE_M + FINGER_GAP_CLOSED_M / 2 + PAD_HALF[1])
    pad = Box(PAD_HALF, (0, y, _PAD_CENTRE_Z), PAD)
    return pad, Box((0.009, 0.005, 0.028), (0, y + sign * 0.004, 0.095), SHELL)


def camera_mount(link: str) -> Mount | None:
    """The camera that a link carries."""
    if link == 'head_link2':
        s, c = sin(_HEAD_TILT_UP_RAD), cos(_HEAD_TILT_UP_RAD)
        return Mount('head', (0.06, -0.02, 0), (0, 0, -1), (-s, -c, 0), 66)
    if link.startswith('gripper_') and link.endswith('base_link'):
        name, above = {'l': ('hand_left', 1), 'r': ('hand_right', -1)}[link[8]]
        return Mount(name, (0.078 * above, 0, 0.08), (0, above, 0), (0.788 * above, 0, 0.616), 78)
    return None
