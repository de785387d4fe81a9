"""The G1 is the published one: kinematics, limits, start pose, and servos that go where they are told."""

from __future__ import annotations

import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest
from lwd_policy_node.kinematics import g1_joints
from lwd_policy_node.profile import RobotProfile
from lwd_sim.robot.g1_model import ACTUATORS, model_xml
from lwd_sim.world import World

sys.path.insert(0, str(Path(__file__).parent))
from forward_kinematics import link_poses

LINKS = ('head_link2', 'arm_l_link4', 'arm_r_link4', 'arm_l_end_link', 'arm_r_end_link')
TOOLS = {'tcp_l': 'gripper_l_center_link', 'tcp_r': 'gripper_r_center_link'}


@pytest.fixture(scope='module')
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(model_xml(''))


@pytest.mark.parametrize('seed', range(8))
def test_links_stand_where_the_published_kinematics_put_them(
    model: mujoco.MjModel, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    positions = {
        joint.name: rng.uniform(joint.lower, joint.upper)
        for joint in g1_joints().values()
        if joint.type != 'fixed' and 'gripper' not in joint.name
    }
    data = mujoco.MjData(model)
    for name, value in positions.items():
        data.joint(name).qpos[0] = value
    mujoco.mj_kinematics(model, data)
    expected = link_poses(positions)
    for link in LINKS:
        np.testing.assert_allclose(data.body(link).xpos, expected[link][0], atol=1e-6)
        np.testing.assert_allclose(
            data.body(link).xmat.reshape(3, 3), expected[link][1], atol=1e-6
        )
    for site, link in TOOLS.items():
        np.testing.assert_allclose(data.site(site).xpos, expected[link][0], atol=1e-6)


def test_limits_are_the_published_ones(model: mujoco.MjModel, profile: RobotProfile) -> None:
    published = g1_joints()
    assert ACTUATORS[:16] == profile.joint_names
    for joint in profile.joints[:14]:
        facts = published[joint.name]
        assert (joint.lower, joint.upper) == (facts.lower, facts.upper)
        np.testing.assert_allclose(model.joint(joint.name).range, [facts.lower, facts.upper])
        np.testing.assert_allclose(model.actuator(joint.name).forcerange[1], facts.effort)


def test_it_stands_still_in_its_start_pose(world: World, profile: RobotProfile) -> None:
    before = world.reset('restock', 0).state
    for _ in range(30):
        after = world.step(profile.home).state
    np.testing.assert_allclose(after, before, atol=0.01)


def test_joints_follow_their_targets_and_grippers_close(
    world: World, profile: RobotProfile
) -> None:
    world.reset('restock', 0)
    target = profile.home
    target[3] += 0.3
    target[14:] = 1.0
    for _ in range(45):
        state = world.step(target).state
    columns = list(profile.action_columns_in_state())
    np.testing.assert_allclose(state[columns], target, atol=0.02)


@pytest.mark.parametrize('bad', [np.zeros(15), np.full(16, np.nan), np.full(16, np.inf)])
def test_a_command_that_is_no_command_is_refused(world: World, bad: np.ndarray) -> None:
    world.reset('restock', 0)
    with pytest.raises(ValueError, match='16 finite joint targets'):
        world.step(bad)
