"""What varies in every task: weight and friction at both levels; shapes and the looks of the room at shift alone."""

from __future__ import annotations

import copy

import mujoco
import numpy as np
import pytest
from lwd_sim.robot.shapes import CAMERAS
from lwd_sim.tasks import SHIFTS, TASKS, Shift, variation
from lwd_sim.world import World

DECOR = ('stripe', 'panel', 'thing')


def decor(world: World) -> dict[str, int]:
    """Visible decor geoms by name."""
    model = world.scene.model
    names = {model.geom(i).name: i for i in range(model.ngeom)}
    return {
        name: i
        for name, i in names.items()
        if name.startswith(DECOR) and model.geom_rgba[i, 3] > 0
    }


def items(model: mujoco.MjModel) -> np.ndarray:
    free = model.jnt_type == mujoco.mjtJoint.mjJNT_FREE
    return np.isin(model.body_rootid, model.jnt_bodyid[free])


@pytest.mark.parametrize('task', sorted(TASKS))
def test_trained_pictures_are_those_that_vision_was_trained_on(world: World, task: str) -> None:
    turned = []
    for seed in range(5):
        world.reset(task, seed, 'trained')
        assert not decor(world)
        turned.append([world.scene.model.camera(name).quat.copy() for name in CAMERAS])
    assert np.ptp(turned, axis=0).max() == 0.0


@pytest.mark.parametrize('task', sorted(TASKS))
def test_rooms_look_different_at_shift(world: World, task: str) -> None:
    looks, turned = [], []
    for seed in range(12):
        world.reset(task, seed, 'shift')
        looks.append(decor(world))
        turned.append(world.scene.model.camera('head').quat.copy())
    for kind in DECOR:
        assert any(name.startswith(kind) for look in looks for name in look)
    assert len({tuple(look) for look in looks}) >= 4
    assert 0.001 < np.ptp(turned, axis=0).max() < 0.15


@pytest.mark.parametrize('task', sorted(TASKS))
def test_things_stand_beyond_every_hand_and_touch_nothing(world: World, task: str) -> None:
    for seed in range(12):
        world.reset(task, seed, 'shift')
        model, data = world.scene.model, world.scene.data
        mujoco.mj_kinematics(model, data)
        lying = np.isin(model.geom_bodyid, np.flatnonzero(items(model)))
        for name, i in decor(world).items():
            assert not model.geom_contype[i] and not model.geom_conaffinity[i]
            if name.startswith('thing'):
                assert data.geom_xpos[i, 0] > 1.15
                gaps = np.linalg.norm((data.geom_xpos[lying] - data.geom_xpos[i])[:, :2], axis=1)
                assert gaps.min() > 0.02


@pytest.mark.parametrize('task', sorted(TASKS))
@pytest.mark.parametrize('shift', SHIFTS)
def test_weight_and_friction_vary_within_their_ranges_and_leave_no_trace(
    world: World, task: str, shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.reset(task, 0, shift)
    model = world.scene.model
    bodies = items(model)
    geoms = np.isin(model.geom_bodyid, np.flatnonzero(bodies))
    factors = []
    for seed in (0, 1, 2, 0):
        reset_without(world, task, seed, shift, monkeypatch)
        mass, friction = model.body_mass.copy(), model.geom_friction[:, 0].copy()
        world.reset(task, seed, shift)
        np.testing.assert_array_equal(model.body_mass[~bodies], mass[~bodies])
        weight = model.body_mass[bodies] / mass[bodies]
        assert (weight >= variation.MASS[shift][0]).all()
        assert (weight <= variation.MASS[shift][1]).all()
        rough = geoms & (friction > 0)
        grip = model.geom_friction[rough, 0] / friction[rough]
        assert (grip >= variation.FRICTION[shift][0]).all()
        assert (grip <= variation.FRICTION[shift][1]).all()
        factors.append(weight)
    np.testing.assert_array_equal(factors[0], factors[3])
    assert np.ptp(factors, axis=0).min() > 0


@pytest.mark.parametrize('task', sorted(TASKS))
def test_what_follows_from_weights_changes_as_mujoco_would_compile_it(
    world: World, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reset_without(world, task, 3, 'shift', monkeypatch)
    model = world.scene.model
    bodies = items(model)
    dofs = np.isin(model.dof_bodyid, np.flatnonzero(bodies))
    fields = {'body_subtreemass': bodies, 'body_invweight0': bodies, 'dof_invweight0': dofs}
    before = {field: getattr(model, field)[rows].copy() for field, rows in fields.items()}
    compiled_before = compiled(model)
    world.reset(task, 3, 'shift')
    compiled_after = compiled(model)
    exact = not model.dof_armature[dofs].any()  # which does not grow with the weight
    for field, rows in fields.items():
        np.testing.assert_allclose(
            getattr(model, field)[rows] / before[field],
            getattr(compiled_after, field)[rows] / getattr(compiled_before, field)[rows],
            rtol=1e-6 if exact else 0.2,
            err_msg=field,
        )


@pytest.mark.parametrize('task', ['restock', 'handover', 'correct', 'freezer', 'cooler', 'juice'])
def test_cans_boxes_and_bottles_differ_in_shape_at_shift_and_stand_as_before(
    world: World, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []
    for seed in range(4):
        reset_without(world, task, seed, 'shift', monkeypatch)
        model = world.scene.model
        standing = {
            model.body(body).name: geom
            for body in np.flatnonzero(items(model))
            if (geom := variation.standing_geom(model, body)) is not None
        }
        assert standing
        plain = {name: model.geom_aabb[geom, 3:].copy() for name, geom in standing.items()}
        feet = {name: foot(world, name, plain[name]) for name in standing}
        world.reset(task, seed, 'shift')
        for name, geom in standing.items():
            half = model.geom_aabb[geom, 3:]
            wide, _, tall = half / plain[name]
            assert variation.WIDTH[0] <= wide <= variation.WIDTH[1]
            assert variation.HEIGHT[0] <= tall <= variation.HEIGHT[1]
            np.testing.assert_allclose(foot(world, name, half), feet[name], atol=1e-9)
            shapes.append((wide, tall))
    assert len(set(shapes)) == len(shapes)
    world.reset(task, 0, 'trained')
    for name, geom in standing.items():
        np.testing.assert_array_equal(model.geom_aabb[geom, 3:], plain[name])


def foot(world: World, name: str, half: np.ndarray) -> np.ndarray:
    return world.scene.position(name) - [0.0, 0.0, half[2]]


@pytest.mark.parametrize(('name', 'kind'), [('red_can', 'cylinder'), ('blue_box', 'box')])
def test_a_shape_is_what_mujoco_would_make_of_it(world: World, name: str, kind: str) -> None:
    """Whoever changes a geom's size must change what MuJoCo has derived from it, or contacts are missed."""
    world.reset('restock', 3, 'shift')
    model = world.scene.model
    body = model.body(name)
    geom = variation.standing_geom(model, body.id)
    size = ' '.join(f'{value:.17g}' for value in model.geom_size[geom])
    mass = float(body.mass[0])
    fresh = mujoco.MjModel.from_xml_string(
        f'<mujoco><worldbody><body><freejoint/><geom type="{kind}" size="{size}" '
        f'mass="{mass:.17g}"/></body></worldbody></mujoco>'
    )
    np.testing.assert_allclose(body.inertia, fresh.body_inertia[1], rtol=1e-6)
    np.testing.assert_allclose(model.geom_aabb[geom], fresh.geom_aabb[0], atol=1e-9)
    np.testing.assert_allclose(model.geom_rbound[geom], fresh.geom_rbound[0], rtol=1e-6)
    box = model.bvh_aabb[model.body_bvhadr[body.id]]
    np.testing.assert_allclose(box, fresh.bvh_aabb[fresh.body_bvhadr[1]], atol=1e-9)


def compiled(model: mujoco.MjModel) -> mujoco.MjModel:
    again = copy.copy(model)
    mujoco.mj_setConst(again, mujoco.MjData(again))
    return again


def reset_without(
    world: World, task: str, seed: int, shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the task itself makes of a scene."""
    with monkeypatch.context() as without:
        without.setattr(variation, 'vary', lambda *_: None)
        world.reset(task, seed, shift)
