"""The numpy kinematics are MuJoCo's, and the inverse finds what the forward made, within limits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from lwd_policy_node.kinematics import (
    ARM_BASE,
    TOOLS,
    Chain,
    DampedIk,
    Pose,
    g1_joints,
    rotated,
    rotation_vector,
)

Array = npt.NDArray[np.float64]


def limits(chain: Chain) -> tuple[Array, Array]:
    joints = [g1_joints()[name] for name in chain.joint_names]
    return np.array([j.lower for j in joints]), np.array([j.upper for j in joints])


@pytest.mark.parametrize('side', 'lr')
@pytest.mark.parametrize('seed', range(5))
def test_pose_and_jacobian_are_mujocos(side: str, seed: int) -> None:
    """At random postures of waist, lift and arm; the simulator's model is not a dependency of the package."""
    mujoco = pytest.importorskip('mujoco')
    g1_model = pytest.importorskip('lwd_sim.robot.g1_model')
    model = mujoco.MjModel.from_xml_string(g1_model.model_xml(''))
    data = mujoco.MjData(model)
    chain = Chain(TOOLS[side])
    q = np.random.default_rng(seed).uniform(*limits(chain))
    for name, value in zip(chain.joint_names, q, strict=True):
        data.joint(name).qpos[0] = value
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    site = model.site(f'tcp_{side}').id
    expected = np.zeros((6, model.nv))
    mujoco.mj_jacSite(model, data, expected[:3], expected[3:], site)
    columns = [model.joint(name).dofadr[0] for name in chain.joint_names]
    pose, jacobian = chain.pose_and_jacobian(q)
    np.testing.assert_allclose(pose.position, data.site_xpos[site], atol=1e-9)
    np.testing.assert_allclose(pose.rotation, data.site_xmat[site].reshape(3, 3), atol=1e-9)
    np.testing.assert_allclose(jacobian, expected[:, columns], atol=1e-9)


def test_jacobian_is_the_poses_derivative() -> None:
    chain = Chain(TOOLS['l'])
    q = np.random.default_rng(3).uniform(*limits(chain))
    pose, jacobian = chain.pose_and_jacobian(q)
    for column in range(len(q)):
        moved = chain.pose(q + 1e-6 * np.eye(len(q))[column])
        rate = np.concatenate(
            [moved.position - pose.position, rotation_vector(moved.rotation @ pose.rotation.T)]
        )
        np.testing.assert_allclose(rate / 1e-6, jacobian[:, column], atol=1e-5)


def test_a_chain_names_its_joints_and_refuses_a_stranger() -> None:
    chain = Chain(TOOLS['r'], ARM_BASE)
    assert chain.joint_names == tuple(f'idx6{i}_arm_r_joint{i}' for i in range(1, 8))
    with pytest.raises(ValueError, match='gripper_r_center_link does not hang on head_link2'):
        Chain(TOOLS['r'], 'head_link2')


def test_rotation_vectors_turn_back() -> None:
    rng = np.random.default_rng(0)
    for angle in (0.0, 1e-12, 1e-6, 0.3, 3.0):
        axis = rng.normal(size=3)
        vector = angle * axis / np.linalg.norm(axis)
        start = rotated(np.eye(3), rng.normal(size=3))
        np.testing.assert_allclose(
            rotation_vector(rotated(start, vector) @ start.T), vector, atol=1e-9
        )


@pytest.mark.parametrize('side', 'lr')
@pytest.mark.parametrize('seed', range(20))
def test_inverse_finds_a_reachable_pose_nearby(side: str, seed: int) -> None:
    """A pose of some posture within the limits, from another up to 0.3 rad away at each joint."""
    rng = np.random.default_rng(seed)
    chain = Chain(TOOLS[side], ARM_BASE)
    lower, upper = limits(chain)
    goal = rng.uniform(lower + 0.3, upper - 0.3)
    ik = DampedIk(chain, lower, upper)
    found = ik.solve(chain.pose(goal), goal + rng.uniform(-0.3, 0.3, 7), iterations=200)
    assert found.position_error_m < 1e-3 and found.orientation_error_rad < 1e-2
    assert (found.q >= lower).all() and (found.q <= upper).all()


@pytest.mark.parametrize('seed', range(10))
def test_inverse_stays_within_limits_when_the_pose_is_out_of_reach(seed: int) -> None:
    """It ends near the pose's direction, at finite joints within the limits, also from outside them."""
    rng = np.random.default_rng(seed)
    chain = Chain(TOOLS['l'], ARM_BASE)
    lower, upper = limits(chain)
    start = rng.uniform(lower - 0.1, upper + 0.1)
    away = Pose(rng.normal(size=3) * 3.0, rotated(np.eye(3), rng.normal(size=3)))
    ik = DampedIk(chain, lower, upper)
    found = ik.solve(away, start)
    assert np.isfinite(found.q).all()
    assert (found.q >= lower).all() and (found.q <= upper).all()
    before = np.linalg.norm(away.position - chain.pose(np.clip(start, lower, upper)).position)
    assert found.position_error_m < before + 0.05


@pytest.mark.parametrize('seed', range(10))
def test_a_joint_at_its_limit_does_not_stop_the_others(seed: int) -> None:
    """The hand still goes where the other joints can bring it while the elbow rests at its limit."""
    chain = Chain(TOOLS['l'], ARM_BASE)
    lower, upper = limits(chain)
    start = np.array([-1.0751, 0.6109, 0.2793, lower[3], 0.7295, 1.4957, -0.1868])
    goal = start + np.random.default_rng(seed).uniform(-0.2, 0.2, 7)
    goal[3] = lower[3]
    found = DampedIk(chain, lower, upper).solve(chain.pose(goal), start, iterations=200)
    assert found.position_error_m < 1e-3 and found.orientation_error_rad < 1e-2
