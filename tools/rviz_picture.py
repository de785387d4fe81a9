#!/usr/bin/env python3
"""Draw docs/pictures/rviz.jpg: what RViz shows of a simulated robot, without RViz.

``python tools/rviz_picture.py``. The robot is drawn from the URDF that ``robot_state_publisher`` gets, the paths and
the text from the messages that ``policy_node`` publishes, both by MuJoCo; the pictures are those of the robot's
cameras. In the policy's place the scripted operator says where the arms go. Needs OpenGL.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# isort: off
import lwd_sim  # noqa: F401  first: it chooses the OpenGL backend, which MuJoCo asks for when it is imported

# isort: on
import cv2
import mujoco
import numpy as np
import numpy.typing as npt
import tyro
import yaml
from lwd_policy_node.nodes.policy_report import PolicyReport
from lwd_policy_node.profile import load_profile
from lwd_sim.operator import Operator, Skill
from lwd_sim.robot.shapes import FINGER_STROKE_M
from lwd_sim.robot.urdf import urdf_xml
from lwd_sim.world import World
from visualization_msgs.msg import Marker

from lwd_msgs.msg import ControlMode

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'src' / 'lwd_bringup' / 'rviz' / 'lwd.rviz'
ROBOT_ID, TASK, SEED, VERSION = 'g1_01', 'handover', 3, 17
WIDTH, HEIGHT = 860, 628  # px, of the robot's view
ASIDE, BAR = 320, 22  # px: width of a camera's panel, height of its title
FOVY = 45.0  # RViz's, degrees
GREY = (48, 48, 48)
MAX_BYTES = 150_000

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Options:
    """Draw what RViz shows."""

    out: Path = ROOT / 'docs' / 'pictures' / 'rviz.jpg'
    """File to write; its ending says how: .jpg or .png."""
    seconds: float = 4.0
    """How far into the episode."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One tick of an episode: what the robot publishes, and the plan made from it."""

    state: dict[str, float]
    images: dict[str, Image]
    instruction: str
    plan: Array  # (H, A)


class Heard:
    """In the place of a node and its publishers: keeps the markers."""

    def __init__(self) -> None:
        self.markers: list[Any] = []

    def create_publisher(self, *_: Any) -> Heard:
        """All of them are this one."""
        return self

    def get_subscription_count(self) -> int:
        """Somebody looks."""
        return 1

    def publish(self, message: Any) -> None:
        """Keep an array's markers."""
        self.markers += message.markers


def main() -> None:
    """Write the picture."""
    options = tyro.cli(Options, prog='rviz_picture')
    moment = act(options.seconds)
    heard = Heard()
    report = PolicyReport(heard, ROBOT_ID, load_profile('g1'))
    report.show(ControlMode.POLICY, VERSION, moment.instruction)
    report.show_plan(moment.plan)
    robot = draw_robot(moment.state, heard.markers)
    panels = [panel(name, picture) for name, picture in moment.images.items()]
    column = np.concatenate(panels)
    column = np.concatenate([column, np.full((HEIGHT - len(column), ASIDE, 3), GREY, np.uint8)])
    whole = cv2.cvtColor(np.concatenate([column, robot], axis=1), cv2.COLOR_RGB2BGR)
    for quality in range(92, 40, -4):
        settings = [cv2.IMWRITE_JPEG_QUALITY, quality] if options.out.suffix == '.jpg' else []
        _, data = cv2.imencode(options.out.suffix, whole, settings)
        if not settings or len(data) <= MAX_BYTES:
            break
    options.out.write_bytes(data.tobytes())
    print(f'{options.out}: {len(data)} bytes')


def act(seconds: float) -> Moment:
    """The scripted operator at work; the plan is what it does next."""
    profile = load_profile('g1')
    world = World(profile)
    world.reset(TASK, SEED, images=False)
    operator = Operator(world, Skill.expert(), SEED)
    for _ in range(round(seconds * profile.control_rate_hz)):
        world.step(operator.act(), images=False)
    seen = world.observe()
    state = dict(zip(profile.state_names, seen.state.tolist(), strict=False))
    plan = np.empty((profile.horizon, len(profile.joints)))
    for row in plan:
        row[:] = operator.act()
        world.step(row, images=False)
    world.close()
    return Moment(state, seen.images, seen.instruction, plan)


def draw_robot(state: dict[str, float], markers: Sequence[Any]) -> Image:
    """The URDF at the measured joints, and the markers, seen as lwd.rviz sees them; (HEIGHT, WIDTH, 3) RGB."""
    model = robot_model()
    data = mujoco.MjData(model)
    for joint in range(model.njnt):
        name = model.joint(joint).name
        side = name.partition('_')[2][:1]
        follows = name.endswith(('_inner', '_outer'))  # mimic, which MuJoCo does not read
        value = state[f'gripper_{side}'] * FINGER_STROKE_M if follows else state[name]
        data.qpos[model.jnt_qposadr[joint]] = value
    mujoco.mj_forward(model, data)
    camera = rviz_camera()
    with mujoco.Renderer(model, HEIGHT, WIDTH, max_geom=2000) as renderer:
        renderer.update_scene(data, camera)
        for start, end in floor():
            line(renderer.scene, start, end, 0.0015, (0.45, 0.45, 0.47, 1.0))
        for marker in markers:
            if marker.type == Marker.LINE_STRIP:
                strip(renderer.scene, data, marker)
        seen = renderer.render()
    for marker in markers:
        if marker.type == Marker.TEXT_VIEW_FACING:
            write(seen, marker, camera)
    return seen


def robot_model() -> mujoco.MjModel:
    """The URDF as RViz gets it, with RViz's light and background."""
    compiler = (
        '<compiler discardvisual="false" fusestatic="false" boundmass="0.1" boundinertia="0.01"/>'
    )
    xml = urdf_xml().replace('</robot>', f'<mujoco>{compiler}</mujoco></robot>')
    spec = mujoco.MjSpec.from_string(xml)
    spec.visual.headlight.ambient[:] = 0.35
    spec.visual.headlight.diffuse[:] = 0.55
    spec.visual.headlight.specular[:] = 0.1
    spec.visual.global_.fovy = FOVY
    spec.visual.global_.offwidth, spec.visual.global_.offheight = WIDTH, HEIGHT
    spec.visual.quality.offsamples = 8
    grey = [value / 255 for value in GREY]
    spec.add_texture(
        name='background', type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
        width=64, height=64, rgb1=grey, rgb2=grey,
    )  # fmt: skip
    return spec.compile()


def rviz_camera() -> mujoco.MjvCamera:
    """The view in lwd.rviz. There the angles say where the eye is, here where it looks."""
    view = yaml.safe_load(CONFIG.read_text())['Visualization Manager']['Views']['Current']
    camera = mujoco.MjvCamera()
    camera.lookat[:] = [view['Focal Point'][axis] for axis in 'XYZ']
    camera.distance = view['Distance']
    camera.azimuth = np.degrees(view['Yaw']) + 180.0
    camera.elevation = -np.degrees(view['Pitch'])
    return camera


def floor() -> list[tuple[Array, Array]]:
    """Lines of the grid, half a metre apart."""
    lines = []
    for at in np.arange(-2.0, 2.01, 0.5):
        lines.append((np.array([at, -2.0, 0.0]), np.array([at, 2.0, 0.0])))
        lines.append((np.array([-2.0, at, 0.0]), np.array([2.0, at, 0.0])))
    return lines


def strip(scene: mujoco.MjvScene, data: mujoco.MjData, marker: Any) -> None:
    """A line strip, in the frame that its header names."""
    frame = data.body(marker.header.frame_id)
    turn = frame.xmat.reshape(3, 3)
    places = [frame.xpos + turn @ [point.x, point.y, point.z] for point in marker.points]
    colour = (marker.color.r, marker.color.g, marker.color.b, marker.color.a)
    for start, end in itertools.pairwise(places):
        line(scene, start, end, marker.scale.x / 2, colour)


def line(
    scene: mujoco.MjvScene, start: Array, end: Array, radius: float, rgba: Sequence[float]
) -> None:
    """One piece, added to what is drawn."""
    geom = scene.geoms[scene.ngeom]
    scene.ngeom += 1
    kind = mujoco.mjtGeom.mjGEOM_CAPSULE
    mujoco.mjv_initGeom(geom, kind, np.zeros(3), np.zeros(3), np.eye(3).ravel(), np.array(rgba))
    mujoco.mjv_connector(geom, kind, radius, start, end)
    geom.emission = 0.5


def write(picture: Image, marker: Any, camera: mujoco.MjvCamera) -> None:
    """A text that faces the viewer, centred on its place, in the marker's height."""
    yaw, pitch = np.radians(camera.azimuth), np.radians(camera.elevation)
    ahead = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    up = np.cross(right, ahead)
    place = marker.pose.position
    from_eye = np.array([place.x, place.y, place.z]) - camera.lookat + camera.distance * ahead
    scale = HEIGHT / 2 / np.tan(np.radians(FOVY) / 2) / (from_eye @ ahead)  # px per m
    x, y = WIDTH / 2 + scale * (from_eye @ right), HEIGHT / 2 - scale * (from_eye @ up)
    colour = [round(255 * value) for value in (marker.color.r, marker.color.g, marker.color.b)]
    rows = marker.text.split('\n')
    height = scale * marker.scale.z
    size = height / 2 / 21  # of this font a capital is 21 px high; RViz's line is twice that
    for index, row in enumerate(rows):
        (width, _), _ = cv2.getTextSize(row, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
        corner = (round(x - width / 2), round(y + height * (index - (len(rows) - 1) / 2)))
        cv2.putText(picture, row, corner, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def panel(camera: str, picture: Image) -> Image:
    """One camera's picture under its display's name."""
    displays = yaml.safe_load(CONFIG.read_text())['Visualization Manager']['Displays']
    topics = {display['Name']: display.get('Topic', {}).get('Value', '') for display in displays}
    title = next(name for name, topic in topics.items() if f'/{camera}/' in topic)
    height = round(ASIDE * picture.shape[0] / picture.shape[1])
    small = cv2.resize(picture, (ASIDE, height), interpolation=cv2.INTER_AREA)
    bar = np.full((BAR, ASIDE, 3), 225, np.uint8)
    cv2.putText(bar, title, (7, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (30, 30, 30), 1, cv2.LINE_AA)
    return np.concatenate([bar, small])


if __name__ == '__main__':
    main()
