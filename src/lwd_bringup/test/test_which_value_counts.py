"""An argument that is given counts more than params_file, and that more than the default of an argument."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python

sys.path.insert(0, str(Path(__file__).parent))
from launched import Launched

pytestmark = pytest.mark.launch
DOMAIN = 179
ROBOT = 'g1_06'
IN_FILE = {
    '/**': {
        'arbiter_node': {'ros__parameters': {'velocity_scale': 0.1}},
        'ros__parameters': {'time_limit_s': 20.0},
    },
    f'/{ROBOT}/episode_node': {
        'ros__parameters': {
            'auto': True,
            'max_episodes': 5,
            'tasks': ['insert'],
            'wait_for_recorder': False,
        }
    },
}


@pytest.fixture
def robot(tmp_path: Path) -> Iterator[Launched]:
    parameters = tmp_path / 'parameters.yaml'
    parameters.write_text(yaml.safe_dump(IN_FILE))
    arguments = {
        'robot_id': ROBOT,
        'hardware': 'g1',
        'teleop': 'none',
        'upload': 'false',
        'params_file': str(parameters),
        'max_episodes': '3',
    }
    launched = Launched(tmp_path, DOMAIN, ROBOT, 'robot.launch.py', **arguments)
    yield launched
    launched.close()


def values(robot: Launched, node: str, *names: str) -> list[object]:
    request = GetParameters.Request(names=list(names))
    found = robot.call(GetParameters, f'{node}/get_parameters', request).values
    return [parameter_value_to_python(value) for value in found]


def test_the_file_counts_where_no_argument_is_given(robot: Launched) -> None:
    names = ['robot_id', 'max_episodes', 'time_limit_s', 'tasks', 'wait_for_recorder', 'seed']
    # Only max_episodes is given; the file says nothing of seed.
    expected = [ROBOT, 3, 20.0, ['insert'], False, 0]
    assert values(robot, 'episode_node', *names) == expected
    assert values(robot, 'arbiter_node', 'velocity_scale', 'profile') == [0.1, 'g1']
    # No episode begins by itself on a real robot, whoever says so.
    assert values(robot, 'episode_node', 'auto', 'simulator') == [False, False]
