"""What varies in every task without its doing: weight and friction, and at ``shift`` shapes and the looks of the room.

The world adds :func:`decor_xml` to each scene and calls :func:`vary` after the task's own ``randomise``. At the level
``trained`` the decor is invisible and cameras stay where they are: vision towers are trained on these pictures.
"""

from __future__ import annotations

import mujoco
import numpy as np

from lwd_sim.robot.g1_model import NO_CONTACT
from lwd_sim.robot.shapes import CAMERAS
from lwd_sim.tasks.base import Shift
from lwd_sim.tasks.scene import SIDES, Array, Scene

MODEL_FIELDS = (
    'body_subtreemass',
    'body_invweight0',
    'dof_invweight0',
    'geom_rbound',
    'geom_aabb',
    'bvh_aabb',
)  # what this changes besides the fields that tasks do
MASS = {'trained': (0.85, 1.15), 'shift': (0.6, 1.5)}
FRICTION = {'trained': (0.9, 1.1), 'shift': (0.7, 1.3)}
PAD_FRICTION = {'trained': (0.9, 1.1), 'shift': (0.75, 1.15)}
WIDTH, HEIGHT = (0.95, 1.05), (0.93, 1.07)  # of cans, boxes, bottles, at shift
CAMERA_TURN_RAD, CAMERA_MOVE_M = 0.02, 0.003  # standard deviations at shift

_STRIPES, _PANELS, _THINGS = 8, 3, 4
_ON_TABLE_M = (
    0.0006  # stripes lie so far over the table: nothing is seen to sink, nothing flickers
)
_FAR_EDGE_M = (0.03, 0.06)  # from the table's far edge: no hand reaches it
_COLOUR_APART = 0.35  # distractors look like no item


def decor_xml() -> str:
    """Stripes for the table, panels for the wall, things for the far edge; invisible, and nothing touches them."""
    kinds = (
        *((f'stripe_{i}', 'box') for i in range(_STRIPES)),
        *((f'panel_{i}', 'box') for i in range(_PANELS)),
        *((f'thing_{i}', ('cylinder', 'box')[i % 2]) for i in range(_THINGS)),
    )
    geoms = ''.join(  # a place of its own for each, or MuJoCo takes it that geom and body always coincide
        f'<geom name="{name}" type="{kind}" pos="0 0 {-1 - i}" size="0.01 0.01 0.01" mass="0" rgba="0 0 0 0" '
        f'{NO_CONTACT}/>'
        for i, (name, kind) in enumerate(kinds)
    )
    return f'<body name="decor">{geoms}</body>'


def vary(scene: Scene, rng: np.random.Generator, shift: Shift) -> None:
    """Change what the task has left alone; the world restores the model before the next scene."""
    _vary_items(scene, rng, shift)
    for side in SIDES:
        factor = rng.uniform(*PAD_FRICTION[shift])
        for pad in (f'pad_gripper_{side}', f'pad_gripper_{side}_outer'):
            scene.model.geom(pad).friction[0] *= factor
    if shift == 'shift':
        _turn_cameras(scene, rng)
        _hang_panels(scene, rng)
        _pattern_table(scene, rng)
        _stand_things(scene, rng)
        _vary_shapes(scene, rng)


def _vary_items(scene: Scene, rng: np.random.Generator, shift: Shift) -> None:
    """Weight and friction of everything that lies about freely."""
    model = scene.model
    for joint in np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_FREE):
        bodies = np.flatnonzero(model.body_rootid == model.jnt_bodyid[joint])
        factor = rng.uniform(*MASS[shift])
        model.body_mass[bodies] *= factor
        model.body_inertia[bodies] *= factor
        model.body_subtreemass[bodies] *= factor
        model.body_invweight0[bodies] /= factor
        model.dof_invweight0[np.isin(model.dof_bodyid, bodies)] /= factor
        geoms = np.isin(model.geom_bodyid, bodies)
        model.geom_friction[geoms, 0] *= rng.uniform(*FRICTION[shift])


def _vary_shapes(scene: Scene, rng: np.random.Generator) -> None:
    """Make each can, box or bottle that stands somewhere slimmer or stouter; its foot stays where it is."""
    model = scene.model
    for body in _item_bodies(model):
        geom = standing_geom(model, body)
        if geom is None:
            continue
        wide, tall = rng.uniform(*WIDTH), rng.uniform(*HEIGHT)
        half_height = float(model.geom_aabb[geom, 5])
        scene.data.qpos[scene.item(model.body(body).name).qpos + 2] += (tall - 1) * half_height
        scale = np.array([wide, wide, tall])
        for own in np.flatnonzero(model.geom_bodyid == body):
            box = model.geom_type[own] == mujoco.mjtGeom.mjGEOM_BOX
            model.geom_size[own] *= scale if box else (wide, tall, 1.0)
            model.geom_pos[own] *= scale
            model.geom_aabb[own] *= np.tile(scale, 2)
            model.geom_rbound[own] = np.linalg.norm(
                model.geom_aabb[own, 3:] if box else model.geom_size[own, :2]
            )
        first = model.body_bvhadr[body]
        model.bvh_aabb[first : first + model.body_bvhnum[body]] *= np.tile(scale, 2)
        _turn_slower(model, body, _inertia(model, geom) * model.body_mass[body])


def standing_geom(model: mujoco.MjModel, body: int) -> int | None:
    """The geom of a body that is one upright box or cylinder, with at most a cap on it; None for any other body."""
    geoms = np.flatnonzero(model.geom_bodyid == body)
    plain = np.isin(
        model.geom_type[geoms], (mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER)
    )
    on_axis = not model.geom_pos[geoms, :2].any() and not model.geom_pos[geoms[0]].any()
    upright = model.geom_aabb[geoms[0], 5] > model.geom_aabb[geoms[0], 3]
    return int(geoms[0]) if len(geoms) <= 2 and plain.all() and on_axis and upright else None


def _inertia(model: mujoco.MjModel, geom: int) -> Array:
    """Moments of a solid box or cylinder of 1 kg about its own axes, (3,) m^2."""
    x, y, z = model.geom_aabb[geom, 3:] ** 2
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_BOX:
        return np.array([y + z, x + z, x + y]) / 3
    return np.array([x / 4 + z / 3, x / 4 + z / 3, x / 2])


def _turn_slower(model: mujoco.MjModel, body: int, inertia: Array) -> None:
    """Give a free body other moments of inertia (3,), kg m^2, and what MuJoCo derives from them."""
    factor = (1 / inertia).mean() / (1 / model.body_inertia[body]).mean()
    model.body_inertia[body] = inertia
    model.body_invweight0[body, 1] *= factor
    turning = np.flatnonzero(model.dof_bodyid == body)[3:]
    model.dof_invweight0[turning] *= factor


def _turn_cameras(scene: Scene, rng: np.random.Generator) -> None:
    for name in CAMERAS:
        camera = scene.model.camera(name)
        turn, before = np.empty(4), camera.quat.copy()
        mujoco.mju_axisAngle2Quat(turn, _direction(rng), CAMERA_TURN_RAD * rng.normal())
        mujoco.mju_mulQuat(camera.quat, before, turn)
        camera.pos[:] += CAMERA_MOVE_M * rng.normal(size=3)


def _hang_panels(scene: Scene, rng: np.random.Generator) -> None:
    """Pictures, shelves, windows: coloured rectangles on the wall."""
    if not _has_geom(scene, 'wall'):
        return
    wall = scene.model.geom('wall')
    front = wall.pos[0] - wall.size[0] - 0.01
    for i in range(int(rng.integers(_PANELS + 1))):
        size = np.array([0.005, rng.uniform(0.1, 0.5), rng.uniform(0.08, 0.4)])
        place = np.array([front - 0.012 * i, rng.uniform(-1.3, 1.3), rng.uniform(0.2, 1.6)])
        _show(scene, f'panel_{i}', place, size, rng.uniform(0.1, 0.9, 3))


def _pattern_table(scene: Scene, rng: np.random.Generator) -> None:
    """Nothing, a mat, or stripes along or across, in a colour near to the table's."""
    kind = int(rng.integers(4))
    if kind == 0 or not _has_geom(scene, 'table'):
        return
    table = scene.model.geom('table')
    centre = scene.model.body('table').pos + table.pos + [0, 0, table.size[2] + _ON_TABLE_M / 2]
    half_x, half_y = 0.96 * table.size[:2]
    colour = np.clip(table.rgba[:3] + rng.choice([-1, 1]) * rng.uniform(0.06, 0.22, 3), 0.05, 0.95)
    count = 1 if kind == 1 else int(rng.integers(3, _STRIPES + 1))
    share = rng.uniform(0.5, 0.8) if kind == 1 else rng.uniform(0.2, 0.5)  # of the table covered
    for i in range(count):
        off = 2 * (i + 0.5) / count - 1
        if kind == 3:
            place, size = [half_x * off, 0, 0], [share * half_x / count, half_y]
        else:
            place, size = [0, half_y * off, 0], [half_x, share * half_y / count]
        _show(scene, f'stripe_{i}', centre + place, np.array([*size, _ON_TABLE_M / 2]), colour)


def _stand_things(scene: Scene, rng: np.random.Generator) -> None:
    """Things at the table's far edge, where nothing else stands."""
    if not _has_geom(scene, 'table'):
        return
    model = scene.model
    table, top = model.geom('table'), model.body('table').pos
    mujoco.mj_kinematics(model, scene.data)
    taken = np.isin(model.body_rootid[model.geom_bodyid], _item_bodies(model))
    items = model.geom_rgba[taken, :3]
    for i in range(int(rng.integers(1, _THINGS + 1))):
        half = np.array([rng.uniform(0.018, 0.03), 0.0, rng.uniform(0.03, 0.09)])
        half[1] = half[2] if i % 2 == 0 else half[0]  # a cylinder's second size is its half height
        tall = half[2]
        for _ in range(8):
            back = table.size[0] - rng.uniform(*_FAR_EDGE_M)
            aside = rng.uniform(-0.95, 0.95) * table.size[1]
            place = top + np.array([back, aside, tall])
            colour = rng.uniform(0.05, 0.95, 3)
            apart = not len(items) or np.abs(items - colour).max(axis=1).min() > _COLOUR_APART
            if apart and _free(scene, place, half[0] + 0.01, tall):
                _show(scene, f'thing_{i}', place, half, colour)
                break


def _item_bodies(model: mujoco.MjModel) -> Array:
    free = model.jnt_type == mujoco.mjtJoint.mjJNT_FREE
    return np.asarray(model.jnt_bodyid[free])


def _free(scene: Scene, place: Array, radius: float, tall: float) -> bool:
    """Whether no visible geom but table, floor and wall comes within ``radius`` of an upright thing."""
    model, data = scene.model, scene.data
    seen = model.geom_rgba[:, 3] > 0
    seen &= model.geom_type != mujoco.mjtGeom.mjGEOM_PLANE
    for name in ('table', 'wall'):
        if _has_geom(scene, name):
            seen[model.geom(name).id] = False
    aabb = model.geom_aabb[seen]
    offset = place - data.geom_xpos[seen]
    local = np.einsum('gij,gi->gj', data.geom_xmat[seen].reshape(-1, 3, 3), offset)
    gap = np.abs(local - aabb[:, :3]) - aabb[:, 3:]
    return not bool((gap < max(radius, tall)).all(axis=1).any())


def _show(scene: Scene, name: str, place: Array, half: Array, colour: Array) -> None:
    geom = scene.model.geom(name)
    geom.pos[:], geom.size[:] = place, half
    geom.rgba[:] = (*colour, 1.0)
    scene.data.geom_xpos[geom.id] = place


def _direction(rng: np.random.Generator) -> Array:
    axis = rng.normal(size=3)
    return np.asarray(axis / np.linalg.norm(axis))


def _has_geom(scene: Scene, name: str) -> bool:
    found: int = mujoco.mj_name2id(scene.model, mujoco.mjtObj.mjOBJ_GEOM, name)
    return found >= 0
