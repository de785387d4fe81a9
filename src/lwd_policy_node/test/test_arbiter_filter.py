"""The safety filter: limits always hold, ordinary motion passes unchanged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lwd_policy_node.control import Clamp, SafetyFilter
from lwd_policy_node.profile import load_profile

PROFILE = load_profile('g1_laptop')
DT = PROFILE.control_period_s
LOWER, UPPER = PROFILE.limits('lower'), PROFILE.limits('upper')
VELOCITY, ACCELERATION = PROFILE.limits('velocity'), PROFILE.limits('acceleration')
A = len(LOWER)


def run(safety: SafetyFilter, wishes: np.ndarray) -> np.ndarray:
    before, out = None, []
    for wish in wishes:
        out.append(safety.follow(wish, before)[0])
        before = wish
    return np.array(out)


def assert_within_limits(start: np.ndarray, path: np.ndarray, scale: float = 1.0) -> None:
    path = np.vstack([start, start, path])
    speed = np.diff(path, axis=0) / DT
    assert (path >= LOWER).all() and (path <= UPPER).all()
    assert (np.abs(speed) <= VELOCITY + 1e-9).all()
    assert (np.abs(np.diff(speed, axis=0)) / DT <= ACCELERATION * scale + 1e-7).all()


def test_motion_within_limits_is_not_changed() -> None:
    """A smooth wish comes out as it went in, and no clamp is reported."""
    safety = SafetyFilter(PROFILE)
    safety.seed(PROFILE.home)
    t = np.arange(120)[:, None] * DT
    # cosine: peak speed 0.57 rad/s, peak acceleration 3.6 rad/s^2
    wishes = PROFILE.home + 0.09 * (1 - np.cos(2 * math.pi * t)) * (np.arange(A) < 14)
    np.testing.assert_allclose(run(safety, wishes), wishes, atol=1e-9)
    _, clamps = safety.follow(wishes[0], wishes[-1])
    assert not clamps.any()


def test_step_is_approached_without_overshoot() -> None:
    """Half a radian: as fast as the limits allow, then at rest exactly there."""
    safety = SafetyFilter(PROFILE)
    safety.seed(np.zeros(A))
    path = run(safety, np.tile(np.full(A, 0.5), (40, 1)))
    assert path.max() <= 0.5 + 1e-12
    np.testing.assert_allclose(path[-1], 0.5, atol=1e-9)
    assert np.argmax(path[:, 0] > 0.499) <= 14  # 2 * sqrt(0.5 / 10) s is 13.4 ticks
    assert_within_limits(np.zeros(A), path)


def test_moving_wish_is_caught_and_kept() -> None:
    """After a start from rest the filter moves with a constant-speed wish, without lag."""
    safety = SafetyFilter(PROFILE)
    safety.seed(np.zeros(A))
    wishes = np.arange(1, 60)[:, None] * (1.2 * DT) * (np.arange(A) < 14)
    path = run(safety, np.minimum(wishes, UPPER))
    caught = slice(20, 30)
    np.testing.assert_allclose(path[caught], wishes[caught], atol=1e-9)


def test_every_joint_stops_at_its_own_limit() -> None:
    """Driven at full speed into a limit, a joint brakes in time."""
    safety = SafetyFilter(PROFILE)
    safety.seed(PROFILE.home)
    path = run(safety, np.tile(UPPER + 5.0, (120, 1)))
    assert_within_limits(PROFILE.home, path)
    np.testing.assert_allclose(path[-1], UPPER, atol=1e-9)


def test_non_finite_joint_is_held_and_the_rest_moves() -> None:
    safety = SafetyFilter(PROFILE)
    safety.seed(PROFILE.home)
    wish = PROFILE.home + 0.005
    wish[2] = math.inf
    position, clamps = safety.follow(wish)
    assert clamps[2] & Clamp.NON_FINITE
    assert position[2] == PROFILE.home[2]
    assert position[0] > PROFILE.home[0] or LOWER[0] == UPPER[0]


def test_robot_found_outside_its_limits_is_let_back_in() -> None:
    """No jump to the limit: it returns at limited speed and stays."""
    safety = SafetyFilter(PROFILE)
    start = UPPER + 0.2
    safety.seed(start)
    path = [start, *(safety.brake() for _ in range(60))]
    speed = np.diff(path, axis=0) / DT
    assert (np.abs(speed) <= VELOCITY + 1e-9).all()
    assert (np.abs(np.diff(speed, axis=0)) / DT <= ACCELERATION + 1e-7).all()
    assert (path[-1] <= UPPER + 1e-9).all()
    assert (np.diff(path, axis=0) <= 1e-12).all()


def test_scale_widens_the_acceleration_limit_only() -> None:
    safety = SafetyFilter(PROFILE, acceleration_scale=5.0)
    safety.seed(np.zeros(A))
    path = run(safety, np.tile(np.full(A, 0.4), (30, 1)))
    assert_within_limits(np.zeros(A), path, scale=5.0)
    assert np.argmax(path[:, 0] > 0.399) < 8
    with pytest.raises(ValueError, match='acceleration_scale must be positive, not 0'):
        SafetyFilter(PROFILE, acceleration_scale=0.0)


def test_scale_narrows_the_velocity_limit() -> None:
    """A tenth of the speed, the same acceleration, and it still arrives."""
    safety = SafetyFilter(PROFILE, velocity_scale=0.1)
    safety.seed(np.zeros(A))
    path = run(safety, np.tile(np.full(A, 0.4), (60, 1)))
    assert_within_limits(np.zeros(A), path)
    speed = np.diff(np.vstack([np.zeros(A), path]), axis=0) / DT
    assert (np.abs(speed) <= 0.1 * VELOCITY + 1e-9).all()
    assert speed[5, 0] == pytest.approx(0.1 * VELOCITY[0])
    np.testing.assert_allclose(path[-1], 0.4, atol=1e-9)
    with pytest.raises(ValueError, match='velocity_scale must be positive, not 0'):
        SafetyFilter(PROFILE, velocity_scale=0.0)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.2, 1.0, 12.0]),
    roughness=st.sampled_from([0.01, 0.1, 1.0, 8.0]),
    reset=st.floats(0.0, 0.2),
)
def test_limits_hold_for_any_wish(seed: int, scale: float, roughness: float, reset: float) -> None:
    """Random walks, jumps, NaN and sudden holds: always feasible, always within limits."""
    rng = np.random.default_rng(seed)
    safety = SafetyFilter(PROFILE, acceleration_scale=scale)
    start = rng.uniform(LOWER, UPPER)
    safety.seed(start)
    path, wish, before = [], start, None
    for _ in range(80):
        wish = wish + rng.normal(0.0, roughness, A)
        if rng.random() < reset:
            wish = rng.uniform(LOWER - 1, UPPER + 1)
        sent = np.where(rng.random(A) < 0.02, math.nan, wish)
        choice = rng.random()
        path.append(safety.brake() if choice < 0.1 else safety.follow(sent, before)[0])
        before = None if choice < 0.2 else sent
    assert_within_limits(start, np.array(path), scale)
