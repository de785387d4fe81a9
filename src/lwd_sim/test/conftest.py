"""Worlds without cameras, shared by a test module."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from lwd_policy_node.profile import RobotProfile, load_profile
from lwd_sim.world import World


@pytest.fixture(scope='session')
def profile() -> RobotProfile:
    return load_profile('g1_laptop')


@pytest.fixture
def odd_profile(tmp_path: Path) -> str:
    """A profile whose control rate is no share of the physics'."""
    shipped = files('lwd_policy_node') / 'profile' / 'robots' / 'g1_laptop.yaml'
    path = tmp_path / 'odd.yaml'
    text = shipped.read_text(encoding='utf-8')
    path.write_text(text.replace('control_rate_hz: 30.0', 'control_rate_hz: 50.0'))
    return str(path)


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
