"""Rules for all tests of the project."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

if find_spec('ros2_wheels') is None:  # a sourced ROS 2 has `ros2` and `launch` of its own
    collect_ignore = ['tools/ros2_wheels']


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a test over DDS once more when it fails: on a busy machine discovery may take longer than any wait allows.

    Both runs are in the summary. A test that needs its second run again and again has a fault.
    """
    for item in items:
        if item.get_closest_marker('launch'):
            item.add_marker(pytest.mark.flaky(reruns=1))
