"""Build the MJCF of the G1 from its published kinematics: primitives only, no meshes.

Called by the tasks, which add a table and items (``lwd_sim.tasks.base``). The base is fixed; lift, waist, head, both
arms and both grippers are position actuated with the published effort limits and gravity compensation.

Actuator order is the wire's: the 16 action joints (arm left 7, arm right 7, gripper_l, gripper_r), then head yaw,
head pitch, waist pitch, lift. Gripper controls are fractions, 0 open .. 1 closed.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import quoteattr

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
    camera_mount,
    finger_boxes,
    finger_sign,
    link_capsule,
)

LEFT_ARM = tuple(f'idx2{i}_arm_l_joint{i}' for i in range(1, 8))
RIGHT_ARM = tuple(f'idx6{i}_arm_r_joint{i}' for i in range(1, 8))
BODY = ('idx11_head_joint1', 'idx12_head_joint2', 'idx02_body_joint2', 'idx01_body_joint1')
ACTUATORS = (*LEFT_ARM, *RIGHT_ARM, 'gripper_l', 'gripper_r', *BODY)
BODY_POSE = {
    'idx11_head_joint1': 0.0,
    'idx12_head_joint2': 0.4363,
    'idx02_body_joint2': 0.8727,
    'idx01_body_joint1': 0.42,
}

_ARM_GAIN = {1: 900.0, 2: 900.0, 3: 600.0, 4: 600.0, 5: 300.0, 6: 300.0, 7: 200.0}  # N*m/rad

# Collision groups: hands touch hands, furniture and items; items touch everything; furniture rests.
HAND_CONTACT = 'contype="1" conaffinity="7"'
ITEM_CONTACT = 'contype="2" conaffinity="7"'
FURNITURE_CONTACT = 'contype="4" conaffinity="3"'
NO_CONTACT = 'contype="0" conaffinity="0"'


def robot_xml() -> str:
    """The G1's body tree, to stand inside ``<worldbody>``; the base axis is the world's z axis."""
    children: dict[str, list[KinematicJoint]] = {}
    for joint in g1_joints().values():
        children.setdefault(joint.parent, []).append(joint)
    tree = ''.join(_body(joint, children) for joint in children['base_link'])
    base = (
        f'<geom type="cylinder" size="{FOOT_RADIUS} {FOOT_HALF_HEIGHT}" pos="{_text(FOOT_CENTRE)}" rgba="{DARK}" '
        f'{NO_CONTACT}/>{_capsule(COLUMN)}'
    )
    return f'<body name="base_link">{base}{tree}</body>'


def actuator_xml() -> str:
    """Position servos in the order of :data:`ACTUATORS`."""
    joints = g1_joints()
    rows = []
    for name in (*LEFT_ARM, *RIGHT_ARM):
        joint, gain = joints[name], _ARM_GAIN[int(name[-1])]
        rows.append(
            f'<position name="{name}" joint="{name}" kp="{gain}" dampratio="1" '
            f'ctrlrange="{joint.lower} {joint.upper}" forcerange="{-joint.effort} {joint.effort}"/>'
        )
    for side in 'lr':
        kp, kv = 1200.0, 40.0
        rows.append(
            f'<general name="gripper_{side}" joint="gripper_{side}" gainprm="{kp * FINGER_STROKE_M}" '
            f'biastype="affine" biasprm="0 {-kp} {-kv}" ctrlrange="0 1" forcerange="-25 25"/>'
        )
    for name in BODY:
        joint, gain = joints[name], 20000.0 if 'body' in name else 200.0
        rows.append(
            f'<position name="{name}" joint="{name}" kp="{gain}" dampratio="1" '
            f'ctrlrange="{joint.lower} {joint.upper}"/>'
        )
    return f'<actuator>{"".join(rows)}</actuator>'


def model_xml(
    scene: str,
    *,
    equality: str = '',
    pretty: bool = False,
    offscreen: tuple[int, int] = (640, 480),
) -> str:
    """A complete MJCF document: the G1 plus ``scene``, the XML of bodies and lights that a task adds.

    Args:
        scene: elements for ``<worldbody>``.
        equality: elements for ``<equality>``: welds that a task may break.
        pretty: shadows and smooth shapes for pictures, 20 times slower on a CPU.
        offscreen: largest picture that can be rendered, (width, height) px.
    """
    if pretty:
        quality = '<quality offsamples="4" shadowsize="2048"/>'
    else:
        quality = (
            '<quality offsamples="0" shadowsize="0" numslices="12" numstacks="8" numquads="1"/>'
        )
    # Without autoreset="disable" a simulation that blows up goes on, unsaid, from the model's own pose.
    fingers = ''.join(
        f'<exclude body1="gripper_{s}_inner_link1" body2="gripper_{s}_outer_link1"/>' for s in 'lr'
    )
    coupled = ''.join(
        f'<joint joint1="gripper_{s}_outer" joint2="gripper_{s}" polycoef="0 1 0 0 0" solref="0.004 1"/>'
        for s in 'lr'
    )
    return f"""
<mujoco model="g1">
  <compiler angle="radian" eulerseq="XYZ" autolimits="true"/>
  <option timestep="{1 / 480}" integrator="implicitfast" cone="elliptic" impratio="10" iterations="100" tolerance="1e-6"
          ls_iterations="50"><flag multiccd="enable" autoreset="disable"/></option>
  <size memory="4M"/>
  <visual>{quality}<global offwidth="{offscreen[0]}" offheight="{offscreen[1]}"/>
    <headlight ambient="0.35 0.35 0.35" diffuse="0.25 0.25 0.25" specular="0 0 0"/>
    <map znear="0.01" zfar="8"/></visual>
  <statistic extent="1" center="0.8 0 0.9"/>
  <default><geom solref="0.006 1" friction="1.0 0.01 0.001" condim="3"/></default>
  <worldbody>{robot_xml()}{scene}</worldbody>
  <contact>{fingers}</contact>
  <equality>{coupled}{equality}</equality>
  {actuator_xml()}
</mujoco>"""


def _body(joint: KinematicJoint, children: dict[str, list[KinematicJoint]]) -> str:
    finger = joint.child.startswith('gripper_') and 'link1' in joint.child
    inner = _finger(joint) if finger else _link(joint)
    inner += ''.join(_body(child, children) for child in children.get(joint.child, ()))
    placed = f'pos="{_text(joint.xyz)}" euler="{_text(joint.rpy)}"'
    if (
        finger
    ):  # the linkage is reduced to a slide along the closing axis, in the gripper base's own frame
        placed = ''
    return f'<body name={quoteattr(joint.child)} gravcomp="1" {placed}>{inner}</body>'


def _link(joint: KinematicJoint) -> str:
    parts = ''
    if joint.type != 'fixed':
        kind = 'slide' if joint.type == 'prismatic' else 'hinge'
        armature = '20' if 'body' in joint.name else '0.1'
        parts += (
            f'<joint name="{joint.name}" type="{kind}" axis="0 0 1" range="{joint.lower} {joint.upper}" '
            f'armature="{armature}"/>'
        )
        parts += '<inertial pos="0 0 0" mass="1.0" diaginertia="0.004 0.004 0.004"/>'
    capsule = link_capsule(joint.child)
    return parts + (_capsule(capsule) if capsule else '') + _cameras_and_sites(joint.child)


def _cameras_and_sites(link: str) -> str:
    parts = ''
    if link.startswith('gripper_') and link.endswith('base_link'):
        parts += _box(PALM, f'name="palm_{link[8]}" mass="0.4" {HAND_CONTACT}')
    if link.startswith('gripper_') and link.endswith('center_link'):
        parts += f'<site name="tcp_{link[8]}" size="0.004" rgba="0 0 0 0"/>'
    mount = camera_mount(link)
    if mount is not None:
        parts += (
            f'<camera name="{mount.camera}" pos="{_text(mount.place)}" xyaxes="{_text(mount.right + mount.up)}" '
            f'fovy="{mount.fovy}"/>'
        )
    return parts


def _finger(joint: KinematicJoint) -> str:
    side, sign = joint.child[8], finger_sign(joint.child)
    name = f'gripper_{side}' if sign < 0 else f'gripper_{side}_outer'
    pad, shank = finger_boxes(sign)
    grip = 'friction="2.0 0.02 0.001" solref="0.008 1" priority="1" condim="4"'
    return (
        f'<joint name="{name}" type="slide" axis="0 {-sign:g} 0" range="0 {FINGER_STROKE_M}" armature="0.1" '
        f'damping="2"/>'
        + _box(pad, f'name="pad_{name}" mass="0.05" {grip} {HAND_CONTACT}')
        + _box(shank, f'mass="0.02" {NO_CONTACT}')
    )


def _capsule(shape: Capsule) -> str:
    ends = _text(shape.start + shape.end)
    return f'<geom type="capsule" fromto="{ends}" size="{shape.radius}" rgba="{shape.rgba}" {NO_CONTACT}/>'


def _box(shape: Box, attributes: str) -> str:
    size, centre = _text(shape.half), _text(shape.centre)
    return f'<geom type="box" size="{size}" pos="{centre}" rgba="{shape.rgba}" {attributes}/>'


def _text(values: Iterable[float]) -> str:
    return ' '.join(repr(value) for value in values)
