"""Worlds without cameras, shared by a test module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lwd_policy_node.profile import RobotProfile, load_profile
from lwd_sim.world import World


@pytest.fixture(scope='session')
def profile() -> RobotProfile:
    return load_profile('g1_laptop')


@pytest.fixture(scope='module')
def world(profile: RobotProfile) -> Iterator[World]:
    blind = World(profile, render=False)
    yield blind
    blind.close()


@pytest.fixture(scope='module')
def seeing(profile: RobotProfile) -> Iterator[World]:
    world = World(profile)
    yield world
    world.close()
