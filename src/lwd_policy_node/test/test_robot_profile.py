"""A robot profile that cannot be is refused by name before anything moves: limits go to the robot unfiltered."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from lwd_policy_node.profile import ProfileError, load_profile, profile_text

G1 = (resources.files('lwd_policy_node.profile') / 'robots' / 'g1_laptop.yaml').read_text()
JOINT = 'idx21_arm_l_joint1'


def _joint(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw['joints'][0].update(values)


def _top(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw.update(values)


def _camera(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw['cameras'][0].update(values)


def _again(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw[key].append(raw[key][0])


IMPOSSIBLE = [
    (_joint(acceleration=0.0), f'{JOINT}: acceleration is 0.0'),
    (_joint(acceleration=float('nan')), f'{JOINT}: acceleration is nan'),
    (_joint(acceleration=float('inf')), f'{JOINT}: acceleration is inf'),
    (_joint(velocity=-1.0), f'{JOINT}: velocity is -1.0'),
    (_joint(velocity=float('nan')), f'{JOINT}: velocity is nan'),
    (_joint(velocity='fast'), f"{JOINT}: velocity is 'fast'"),
    (_joint(velocity=True), f'{JOINT}: velocity is True'),
    (_joint(lower=float('-inf')), f'{JOINT}: lower is -inf'),
    (_joint(home=float('nan')), f'{JOINT}: home is nan'),
    (_joint(lower=1.0, upper=1.0, home=1.0), f'{JOINT}: lower 1.0 is not below upper 1.0'),
    (_joint(home=4.0), f'{JOINT}: home 4.0 outside'),
    (_top(control_rate_hz=0.0), 'control_rate_hz is 0.0'),
    (_top(control_rate_hz=float('nan')), 'control_rate_hz is nan'),
    (_top(horizon=0), 'horizon is 0'),
    (_top(horizon=16.0), 'horizon is 16.0'),
    (_top(replan_steps=0), 'replan_steps is 0'),
    (_top(replan_steps=99), 'replan_steps is 99'),
    (_camera(rate_hz=0.0), 'head: rate_hz is 0.0'),
    (_camera(width=0), 'head: width is 0'),
    (_again('joints'), f'joints: {JOINT} more than once'),
    (_again('state_names'), 'state_names: idx11_head_joint1 more than once'),
    (_again('cameras'), 'cameras: head more than once'),
]


@pytest.mark.parametrize(('spoil', 'words'), IMPOSSIBLE)
def test_what_cannot_be_is_refused(
    spoil: Callable[[dict[str, Any]], None], words: str, tmp_path: Path
) -> None:
    """Named with its value and the file."""
    raw = yaml.safe_load(G1)
    path = tmp_path / 'mine.yaml'
    path.write_text(yaml.safe_dump(raw))
    load_profile(path)  # good before it is spoilt
    spoil(raw)
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(ProfileError) as refused:
        load_profile(path)
    assert words in str(refused.value) and str(path) in str(refused.value)


@pytest.mark.parametrize('text', [b'name: [g1\n', b'\xff\xfe\x00', b'- g1\n', b''])
def test_a_file_that_is_no_mapping_is_refused(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / 'mine.yaml'
    path.write_bytes(text)
    with pytest.raises(ProfileError, match=r'mine\.yaml'):
        load_profile(path)


def test_the_text_of_a_profile_is_that_of_its_file(tmp_path: Path) -> None:
    """By name or path: bags keep it."""
    assert profile_text('g1_laptop').decode() == G1
    path = tmp_path / 'mine.yaml'
    path.write_bytes(b'name: [g1\n')
    assert profile_text(path) == b'name: [g1\n'
    for name, words in (
        (str(tmp_path / 'other.yaml'), 'other.yaml: No such file'),
        ('g2', "'g2'; known: g1, g1_laptop"),
    ):
        with pytest.raises(ProfileError, match=words):
            profile_text(name)
