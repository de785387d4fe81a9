"""Set-up: what makes it begin anew, what it refuses, what it installs with and without a sourced ROS 2."""

from __future__ import annotations

import itertools
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
import setuptools

from tools.setup import environment

CHECKOUT = Path(__file__).resolve().parents[3]
BUILD_TOOLS = {'colcon-core', 'colcon-ros', 'empy', 'lark-parser', 'catkin-pkg'}
Steps = dict[str, list[str]]


def stand_in(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let set-up take `root` for the checkout."""
    monkeypatch.setattr(environment, 'ROOT', root)
    monkeypatch.setattr(environment, 'VENV', root / '.venv')
    monkeypatch.setattr(environment, 'STAMPS', root / '.venv' / '.lwd')


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the locks."""
    root = tmp_path / 'checkout'
    shutil.copytree(CHECKOUT / 'requirements', root / 'requirements')
    stand_in(root, monkeypatch)
    monkeypatch.setattr(environment, 'NEEDED_BYTES', 0)
    return root


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Steps]:
    """Make the environment, its packages left out; return the commands by step."""

    def make(ros: str) -> Steps:
        steps: Steps = {}

        def step(name: str, command: list[str], *_: object) -> None:
            steps[name] = command
            if name == 'virtual environment':
                subprocess.run([*command, '--without-pip'], check=True)

        monkeypatch.setattr(environment, 'step', step)
        environment.make_environment(ros, False)
        return steps

    return make


def pins(command: list[str]) -> set[str]:
    """Distributions that a pip command pins."""
    locks = [Path(lock) for option, lock in itertools.pairwise(command) if option == '-r']
    lines = [line for lock in locks for line in lock.read_text().splitlines()]
    return {line.partition('==')[0] for line in lines if '==' in line}


def test_nothing_is_done_twice_in_whatever_shell(
    checkout: Path, made: Callable[[str], Steps], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An activated shell's Python has another prefix, and is the same Python."""
    assert 'virtual environment' in made('')
    assert made('') == {}
    monkeypatch.setattr(sys, 'prefix', str(checkout / '.venv'))
    assert made('') == {}


def test_an_environment_that_was_interrupted_is_made_again(
    checkout: Path, made: Callable[[str], Steps]
) -> None:
    """As Ctrl-C leaves it between its Python and its pip."""
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', checkout / '.venv'], check=True)
    assert 'virtual environment' in made('')


def test_a_moved_checkout_keeps_nothing_that_names_the_old_place(
    checkout: Path, made: Callable[[str], Steps], monkeypatch: pytest.MonkeyPatch
) -> None:
    made('')
    for folder in ('build', 'install'):
        (checkout / folder).mkdir()
    moved = checkout.rename(checkout.with_name('moved'))
    stand_in(moved, monkeypatch)
    assert {'virtual environment', 'packages'} <= made('').keys()
    assert f'{moved}/.venv' in (moved / '.venv' / 'bin' / 'activate').read_text()
    assert not (moved / 'build').exists() and not (moved / 'install').exists()


def test_another_ros_gets_an_environment_of_its_own(
    checkout: Path, made: Callable[[str], Steps]
) -> None:
    """The `ros2` of the wheels would hide that of a sourced ROS 2."""
    made('')
    (checkout / '.venv' / 'bin' / 'ros2').touch()
    made('jazzy')
    assert not (checkout / '.venv' / 'bin' / 'ros2').exists()


def test_the_build_tools_are_in_the_environment_with_either_ros(
    checkout: Path, made: Callable[[str], Steps]
) -> None:
    """The environment does not see apt's, and apt's colcon makes scripts for a Python without torch."""
    wheels, sourced = pins(made('')['packages']), pins(made('jazzy')['packages'])
    assert wheels >= BUILD_TOOLS and 'ros-rclpy' in wheels
    assert sourced >= BUILD_TOOLS and not any(name.startswith('ros-') for name in sourced)


def test_what_setup_py_installs_is_built_again_when_it_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file that is new is not in install/ until then."""
    inputs = set(environment.build_inputs())
    for script in sorted((CHECKOUT / 'src').glob('*/setup.py')):
        told: dict[str, list[tuple[str, list[str]]]] = {}
        monkeypatch.setattr(setuptools, 'setup', told.update)
        monkeypatch.chdir(script.parent)
        runpy.run_path(str(script))
        files = [script.parent / name for _, names in told['data_files'] for name in names]
        assert files and set(files) <= inputs


def test_a_place_that_scripts_cannot_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path / 'a place', monkeypatch)
    with pytest.raises(environment.SetupError, match=r"a place'.*move"):
        environment.check_place()


def test_missing_headers_of_the_systems_python_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The messages' Python modules are compiled."""
    package = f'python{sys.version_info[0]}.{sys.version_info[1]}-dev'
    assert package not in environment.missing_packages()
    monkeypatch.setattr(sysconfig, 'get_path', lambda name: str(tmp_path / name))
    monkeypatch.setattr(sys, 'base_prefix', '/usr')
    assert package in environment.missing_packages()
    monkeypatch.setattr(sys, 'base_prefix', '/opt/python')
    assert package not in environment.missing_packages()


@pytest.mark.parametrize(
    ('made_with_wheels', 'variables', 'remedy'),
    [
        (True, {'ROS_DISTRO': 'jazzy'}, 'make setup'),
        (False, {}, 'source ROS 2 first'),
        (True, {}, None),
        (False, {'ROS_DISTRO': 'jazzy'}, None),
    ],
)
def test_a_shell_with_another_ros_than_the_set_up_is_refused(
    tmp_path: Path, made_with_wheels: bool, variables: dict[str, str], remedy: str | None
) -> None:
    shutil.copy(CHECKOUT / 'env.sh', tmp_path)
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', tmp_path / '.venv'], check=True)
    if made_with_wheels:
        (tmp_path / '.venv' / 'bin' / 'ros2').touch()
    done = subprocess.run(
        ['bash', '-c', f'source {tmp_path}/env.sh && echo "$VIRTUAL_ENV"'],
        env={'PATH': os.environ['PATH'], **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if remedy is None:
        assert done.stdout.strip() == str(tmp_path / '.venv'), done.stderr
    else:
        assert done.returncode != 0 and remedy in done.stderr
