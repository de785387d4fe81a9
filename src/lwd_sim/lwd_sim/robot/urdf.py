"""``ros2 run lwd_sim urdf``: the G1 as a URDF, for RViz and ``robot_state_publisher``.

Made from the same joint facts and the same primitives as the MJCF (``g1_model``), so the two cannot disagree. Joint
names are those of ``joint_states``. There a gripper is a fraction, 0 open .. 1 closed: in the URDF it is a knob
without a shape, and the two fingers follow it. Camera frames have the names that the images carry, z forward.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
import numpy.typing as npt
import tyro
from lwd_policy_node.kinematics import KinematicJoint, g1_joints

from lwd_sim.robot.shapes import (
    COLUMN,
    DARK,
    FINGER_STROKE_M,
    FOOT_CENTRE,
    FOOT_HALF_HEIGHT,
    FOOT_RADIUS,
    PALM,
    Box,
    Capsule,
    Mount,
    camera_mount,
    finger_boxes,
    finger_sign,
    link_capsule,
)

_FINGER_EFFORT_N, _FINGER_SPEED = 25.0, 4.0  # of the fraction, 1/s


def urdf_xml() -> str:
    """The whole robot, base axis at the origin."""
    robot = Element('robot', name='g1')
    base = _link(robot, 'base_link')
    foot = {'radius': _text([FOOT_RADIUS]), 'length': _text([2 * FOOT_HALF_HEIGHT])}
    _visual(base, 'cylinder', foot, FOOT_CENTRE, DARK)
    _capsule(base, COLUMN)
    for joint in g1_joints().values():
        if _is_finger(joint):
            _finger(robot, joint)
            continue
        link = _link(robot, joint.child)
        capsule = link_capsule(joint.child)
        if capsule is not None:
            _capsule(link, capsule)
        _joint(
            robot, joint.name, joint.type, joint.parent, joint.child, joint.xyz, joint.rpy, joint
        )
        if joint.child.startswith('gripper_') and joint.child.endswith('base_link'):
            _box(link, PALM)
            _knob(robot, joint.child)
        mount = camera_mount(joint.child)
        if mount is not None:
            _camera(robot, joint.child, mount)
    indent(robot)
    return '<?xml version="1.0"?>\n' + tostring(robot, encoding='unicode') + '\n'


def _is_finger(joint: KinematicJoint) -> bool:
    return joint.child.startswith('gripper_') and 'link1' in joint.child


def _link(robot: Element, name: str) -> Element:
    return SubElement(robot, 'link', name=name)


def _joint(
    robot: Element,
    name: str,
    kind: str,
    parent: str,
    child: str,
    xyz: Iterable[float],
    rpy: Iterable[float],
    facts: KinematicJoint,
) -> None:
    joint = SubElement(robot, 'joint', name=name, type=kind)
    SubElement(joint, 'parent', link=parent)
    SubElement(joint, 'child', link=child)
    SubElement(joint, 'origin', xyz=_text(xyz), rpy=_text(rpy))
    if kind != 'fixed':
        SubElement(joint, 'axis', xyz='0 0 1')
        _limit(joint, facts.lower, facts.upper, facts.effort, facts.velocity)


def _finger(robot: Element, facts: KinematicJoint) -> None:
    """A slide along the closing axis in the gripper base's own frame, as in the MJCF."""
    side, sign = facts.child[8], finger_sign(facts.child)
    name = f'gripper_{side}_{"inner" if sign < 0 else "outer"}'
    link = _link(robot, facts.child)
    for box in finger_boxes(sign):
        _box(link, box)
    joint = SubElement(robot, 'joint', name=name, type='prismatic')
    SubElement(joint, 'parent', link=facts.parent)
    SubElement(joint, 'child', link=facts.child)
    SubElement(joint, 'axis', xyz=f'0 {-sign:g} 0')
    _limit(joint, 0.0, FINGER_STROKE_M, _FINGER_EFFORT_N, _FINGER_SPEED * FINGER_STROKE_M)
    SubElement(joint, 'mimic', joint=f'gripper_{side}', multiplier=_text([FINGER_STROKE_M]))


def _knob(robot: Element, base: str) -> None:
    """What ``joint_states`` calls the gripper: a fraction that moves nothing but the fingers that mimic it."""
    name = f'gripper_{base[8]}'
    _link(robot, f'{name}_fraction')
    joint = SubElement(robot, 'joint', name=name, type='revolute')
    SubElement(joint, 'parent', link=base)
    SubElement(joint, 'child', link=f'{name}_fraction')
    SubElement(joint, 'axis', xyz='0 0 1')
    _limit(joint, 0.0, 1.0, _FINGER_EFFORT_N, _FINGER_SPEED)


def _camera(robot: Element, parent: str, mount: Mount) -> None:
    name = f'{mount.camera}_camera'
    _link(robot, name)
    joint = SubElement(robot, 'joint', name=name, type='fixed')
    SubElement(joint, 'parent', link=parent)
    SubElement(joint, 'child', link=name)
    right, up = np.array(mount.right, dtype=float), np.array(mount.up, dtype=float)
    right /= np.linalg.norm(right)
    up -= right * (up @ right)
    up /= np.linalg.norm(up)
    optical = np.stack([right, -up, -np.cross(right, up)], axis=1)
    SubElement(joint, 'origin', xyz=_text(mount.place), rpy=_text(_rpy(optical)))


def _limit(joint: Element, lower: float, upper: float, effort: float, velocity: float) -> None:
    values = {'lower': lower, 'upper': upper, 'effort': effort, 'velocity': velocity}
    SubElement(joint, 'limit', {name: _text([value]) for name, value in values.items()})


def _capsule(link: Element, shape: Capsule) -> None:
    """URDF has none: a cylinder and two spheres."""
    start, end = np.array(shape.start, dtype=float), np.array(shape.end, dtype=float)
    along, radius = end - start, _text([shape.radius])
    length = float(np.linalg.norm(along))
    rpy = (0.0, np.arccos(along[2] / length), np.arctan2(along[1], along[0]))
    cylinder = {'radius': radius, 'length': _text([length])}
    _visual(link, 'cylinder', cylinder, (start + end) / 2, shape.rgba, rpy)
    for centre in (start, end):
        _visual(link, 'sphere', {'radius': radius}, centre, shape.rgba)


def _box(link: Element, shape: Box) -> None:
    size = {'size': _text(2 * half for half in shape.half)}
    _visual(link, 'box', size, shape.centre, shape.rgba)


def _visual(
    link: Element,
    kind: str,
    size: dict[str, str],
    xyz: Iterable[float],
    rgba: str,
    rpy: Iterable[float] = (0.0, 0.0, 0.0),
) -> None:
    visual = SubElement(link, 'visual')
    SubElement(visual, 'origin', xyz=_text(xyz), rpy=_text(rpy))
    SubElement(SubElement(visual, 'geometry'), kind, size)
    material = SubElement(visual, 'material', name=f'rgba {rgba}')
    SubElement(material, 'color', rgba=rgba)


def _rpy(frame: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Fixed-axis roll, pitch, yaw of a rotation (3, 3)."""
    level = float(np.hypot(frame[0, 0], frame[1, 0]))
    pitch = float(np.arctan2(-frame[2, 0], level))
    if level < 1e-9:  # straight up or down: yaw and roll are the same turn
        return float(np.arctan2(-frame[1, 2], frame[1, 1])), pitch, 0.0
    roll = float(np.arctan2(frame[2, 1], frame[2, 2]))
    return roll, pitch, float(np.arctan2(frame[1, 0], frame[0, 0]))


def _text(values: Iterable[Any]) -> str:
    return ' '.join(f'{float(value):.9g}' for value in values)


@dataclass(frozen=True, slots=True)
class Options:
    """Write the robot's URDF, made from the same facts as the simulated robot."""

    out: Path | None = None
    """File to write; without it, to standard output."""


def main() -> None:
    """Entry point of ``ros2 run lwd_sim urdf``."""
    options = tyro.cli(Options, prog='urdf')
    if options.out is None:
        sys.stdout.write(urdf_xml())
    else:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(urdf_xml(), encoding='utf-8')
        print(options.out)


if __name__ == '__main__':
    main()
