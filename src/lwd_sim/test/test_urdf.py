"""The URDF for RViz is the robot that MuJoCo simulates: same links, same primitives, at any posture."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import mujoco
import numpy as np
import numpy.typing as npt
import pytest
from lwd_policy_node.profile import RobotProfile
from lwd_sim.robot.g1_model import ACTUATORS, model_xml
from lwd_sim.robot.shapes import FINGER_STROKE_M
from lwd_sim.robot.urdf import urdf_xml

sys.path.insert(0, str(Path(__file__).parent))
from forward_kinematics import rotation

Array = npt.NDArray[np.float64]
Pose = tuple[Array, Array]


@pytest.fixture(scope='module')
def robot() -> ET.Element:
    return ET.fromstring(urdf_xml())


@pytest.fixture(scope='module')
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(model_xml(''))


def numbers(element: ET.Element | None, name: str, default: str = '0 0 0') -> Array:
    text = default if element is None else element.get(name, default)
    return np.array([float(value) for value in text.split()])


def origin(element: ET.Element) -> Pose:
    found = element.find('origin')
    roll, pitch, yaw = numbers(found, 'rpy')
    turned = rotation('z', yaw) @ rotation('y', pitch) @ rotation('x', roll)
    return numbers(found, 'xyz'), turned


def about(axis: Array, angle: float) -> Array:
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def poses(robot: ET.Element, positions: Mapping[str, float]) -> dict[str, Pose]:
    """Every link's pose, as robot_state_publisher computes it."""
    found = {'base_link': (np.zeros(3), np.eye(3))}
    waiting = robot.findall('joint')
    while waiting:
        joint = next(j for j in waiting if j.find('parent').get('link') in found)  # type: ignore[union-attr]
        waiting.remove(joint)
        at, frame = found[joint.find('parent').get('link')]  # type: ignore[union-attr,index]
        xyz, turned = origin(joint)
        at, frame = at + frame @ xyz, frame @ turned
        mimic = joint.find('mimic')
        if mimic is None:
            value = positions.get(joint.get('name', ''), 0.0)
        else:
            value = float(mimic.get('multiplier', 1)) * positions[mimic.get('joint', '')]
        axis = numbers(joint.find('axis'), 'xyz', '1 0 0')
        if joint.get('type') == 'revolute':
            frame = frame @ about(axis, value)
        elif joint.get('type') == 'prismatic':
            at = at + frame @ axis * value
        found[joint.find('child').get('link')] = (at, frame)  # type: ignore[union-attr,index]
    return found


def postures(model: mujoco.MjModel, seed: int) -> tuple[mujoco.MjData, dict[str, float]]:
    """A random posture in MuJoCo, and as joint_states says it."""
    rng = np.random.default_rng(seed)
    data = mujoco.MjData(model)
    positions = {}
    for name in ACTUATORS:
        value = rng.uniform(*model.actuator(name).ctrlrange)
        positions[name] = value
        if name.startswith('gripper'):
            data.joint(f'{name}_outer').qpos[0] = FINGER_STROKE_M * value
            value = FINGER_STROKE_M * value
        data.joint(name).qpos[0] = value
    mujoco.mj_kinematics(model, data)
    mujoco.mj_camlight(model, data)
    return data, positions


@pytest.mark.parametrize('seed', range(8))
def test_every_link_stands_where_mujoco_has_it(
    robot: ET.Element, model: mujoco.MjModel, seed: int
) -> None:
    data, positions = postures(model, seed)
    links = poses(robot, positions)
    for body in range(1, model.nbody):
        at, frame = links[model.body(body).name]
        np.testing.assert_allclose(at, data.xpos[body], atol=1e-6)
        np.testing.assert_allclose(frame, data.xmat[body].reshape(3, 3), atol=1e-6)
    for camera in range(model.ncam):
        at, frame = links[f'{model.camera(camera).name}_camera']
        np.testing.assert_allclose(at, data.cam_xpos[camera], atol=1e-6)
        looks = data.cam_xmat[camera].reshape(3, 3) * [1, -1, -1]  # right, down, forward
        np.testing.assert_allclose(frame, looks, atol=1e-6)


def test_every_primitive_is_drawn_where_mujoco_has_it(
    robot: ET.Element, model: mujoco.MjModel
) -> None:
    data, positions = postures(model, 0)
    links = poses(robot, positions)
    drawn: list[tuple[str, Array, Array]] = []
    for link in robot.findall('link'):
        for visual in link.findall('visual'):
            at, frame = links[link.get('name', '')]
            xyz, turned = origin(visual)
            shape = visual.find('geometry')[0]  # type: ignore[index]
            centre, third = at + frame @ xyz, (frame @ turned)[:, 2]
            drawn.append((shape.tag, centre, np.abs(third)))
    kinds = {
        mujoco.mjtGeom.mjGEOM_BOX: 'box',
        mujoco.mjtGeom.mjGEOM_CAPSULE: 'cylinder',
        mujoco.mjtGeom.mjGEOM_CYLINDER: 'cylinder',
    }
    for geom in range(model.ngeom):
        kind = kinds[mujoco.mjtGeom(model.geom_type[geom])]
        centre, third = data.geom_xpos[geom], np.abs(data.geom_xmat[geom].reshape(3, 3)[:, 2])
        assert any(
            kind == other
            and np.allclose(centre, at, atol=1e-6)
            and np.allclose(third, z, atol=1e-5)
            for other, at, z in drawn
        ), model.geom(geom).name
    assert sum(kind != 'sphere' for kind, _, _ in drawn) == model.ngeom


def test_joint_states_name_every_joint_that_does_not_follow_another(
    robot: ET.Element, profile: RobotProfile
) -> None:
    moving = {
        joint.get('name')
        for joint in robot.findall('joint')
        if joint.get('type') != 'fixed' and joint.find('mimic') is None
    }
    assert moving == set(profile.state_names)
    for facts in profile.joints:
        limit = robot.find(f"joint[@name='{facts.name}']/limit")
        assert limit is not None
        assert float(limit.get('lower', 'nan')) == pytest.approx(facts.lower)
        assert float(limit.get('upper', 'nan')) == pytest.approx(facts.upper)


def test_another_parser_reads_it() -> None:
    """MuJoCo's own reader of URDF, which refuses what is malformed or does not hang together."""
    compiler = (
        '<compiler discardvisual="false" fusestatic="false" boundmass="0.1" boundinertia="0.01"/>'
    )
    xml = urdf_xml().replace('</robot>', f'<mujoco>{compiler}</mujoco></robot>')
    read = mujoco.MjModel.from_xml_string(xml)
    drawn = ET.fromstring(urdf_xml())
    assert read.ngeom == len(drawn.findall('.//visual'))
    assert read.njnt == sum(joint.get('type') != 'fixed' for joint in drawn.findall('joint'))


def test_the_command_writes_it(tmp_path: Path) -> None:
    out = tmp_path / 'robots' / 'g1.urdf'
    command = [sys.executable, '-m', 'lwd_sim.robot.urdf']
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    subprocess.run([*command, '--out', str(out)], capture_output=True, check=True, timeout=60)
    assert out.read_text() == printed.stdout == urdf_xml()
