"""Grippers stay in their boxes: whatever is wished, an arm brakes in time and can come back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lwd_policy_node.control import Arbiter, ArbiterConfig, Clamp, SafetyFilter, Source, Teleop
from lwd_policy_node.control.workspace import Workspace
from lwd_policy_node.kinematics import ARM_BASE, TOOLS, Chain
from lwd_policy_node.profile import load_profile

PROFILE = load_profile('g1_laptop')
DT = PROFILE.control_period_s
HOME = PROFILE.home
NAMES = PROFILE.joint_names
LEFT = Chain(TOOLS['l'], ARM_BASE)
COLUMNS = [NAMES.index(name) for name in LEFT.joint_names]
PLACE = LEFT.pose(HOME[COLUMNS]).position
BOX = {'l': (PLACE - 0.1, PLACE + 0.1)}
SLACK_M = 0.01  # on the curved way to a resting place inside


def beyond_m(position: np.ndarray) -> float:
    place = LEFT.pose(position[COLUMNS]).position
    return float(np.abs(place - PLACE).max() - 0.1)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_wish_leads_a_gripper_out_of_its_box(seed: int) -> None:
    """Random wishes all over the joints' range, at full speed: never outside, never at rest outside."""
    rng = np.random.default_rng(seed)
    safety = SafetyFilter(PROFILE, workspace=BOX)
    safety.seed(HOME)
    for _ in range(6):
        wish = rng.uniform(PROFILE.limits('lower'), PROFILE.limits('upper'))
        for _ in range(12):
            safety.share = float(rng.choice([0.5, 1.0]))
            position, _ = safety.follow(wish)
            assert beyond_m(position) <= SLACK_M
    for _ in range(30):
        position = safety.brake()
    assert beyond_m(position) <= 1e-6


def test_the_other_arm_goes_on_and_the_halt_is_said() -> None:
    """Only the arm that would leave is stopped, each of its joints says so, and inside all is free."""
    safety, free = SafetyFilter(PROFILE, workspace=BOX), SafetyFilter(PROFILE)
    wish = HOME + 0.02
    for one in (safety, free):
        one.seed(HOME)
    for _ in range(10):
        np.testing.assert_array_equal(safety.follow(wish)[0], free.follow(wish)[0])
    wish = HOME.copy()
    wish[COLUMNS] += 1.0
    wish[NAMES.index('idx61_arm_r_joint1')] -= 0.5
    flags = np.zeros(len(NAMES), dtype=np.uint8)
    for _ in range(60):
        position, clamps = safety.follow(wish)
        flags |= clamps
    assert (flags[COLUMNS] & Clamp.WORKSPACE).all()
    others = [column for column in range(len(NAMES)) if column not in COLUMNS]
    assert not (flags[others] & Clamp.WORKSPACE).any()
    right = NAMES.index('idx61_arm_r_joint1')
    assert position[right] == pytest.approx(wish[right], abs=1e-6)


def test_an_arm_found_outside_may_come_in() -> None:
    """A robot that starts outside its box is not locked there."""
    outside = HOME.copy()
    outside[COLUMNS[0]] += 0.5
    assert beyond_m(outside) > 0.05
    safety = SafetyFilter(PROFILE, workspace=BOX)
    safety.seed(outside)
    for _ in range(60):
        position, _ = safety.follow(HOME)
    np.testing.assert_allclose(position, HOME, atol=1e-6)


def test_the_box_holds_a_human_too() -> None:
    """The filter is last: after the arbiter's choice, whoever it is."""
    arbiter = Arbiter(PROFILE, ArbiterConfig(workspace=BOX))
    now, wish = 1.0, HOME.copy()
    wish[COLUMNS] += 1.0
    for _ in range(60):
        now += DT
        arbiter.on_joint_state(now, HOME, now)
        arbiter.on_teleop(Teleop(now, True, wish, 'operator'), now)
        output = arbiter.tick(now, now)
        assert output is not None and output.source is Source.HUMAN
        assert beyond_m(output.position) <= SLACK_M


def test_a_box_that_is_none_is_refused() -> None:
    """Wrong corners, sides and joints are said at the start."""
    with pytest.raises(ValueError, match='is no box'):
        Workspace(NAMES, {'l': ((0, 0, 0), (1, 0, 1))})
    with pytest.raises(ValueError, match="no gripper 'middle'"):
        Workspace(NAMES, {'middle': ((0, 0, 0), (1, 1, 1))})
    with pytest.raises(ValueError, match='is not commanded'):
        Workspace(NAMES[:3], {'l': ((0, 0, 0), (1, 1, 1))})
