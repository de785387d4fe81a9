#!/usr/bin/env python3
"""Make this checkout runnable: system packages, virtual environment, ROS 2, our packages built.

Called by ``make setup`` with any Python 3; uses the standard library alone. Every step is skipped when its inputs have
not changed, so a second run takes a second or two.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / '.venv'
STAMPS = VENV / '.lwd'
NEEDED_BYTES = 6 * 1024**3  # environment 3.5 GB, build, pip's temporary files
SUPPORTED = ((3, 11), (3, 12))

# What each step needs from the system: a command or a shared library, and the Debian/Ubuntu package that has it.
SYSTEM_COMMANDS = {'c++': 'g++', 'cmake': 'cmake', 'make': 'make'}
SYSTEM_LIBRARIES = {'libEGL.so.1': 'libegl1', 'libOSMesa.so': 'libosmesa6'}
MESA_PACKAGES = ('libegl1', 'libgl1-mesa-dri', 'libosmesa6')


class SetupError(RuntimeError):
    """Set-up cannot go on; the message says what is missing and what to do."""


def main() -> int:
    """Run every step; print one line each; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--verbose', action='store_true', help='show the output of pip and colcon')
    arguments = parser.parse_args()
    started = time.monotonic()
    try:
        check_python()
        check_place()
        ros = ros_install()
        install_system_packages()
        make_environment(ros, arguments.verbose)
        if ros:
            check_rclpy(ros)
        build_packages(ros, arguments.verbose)
    except SetupError as error:
        print(f'setup: {error}', file=sys.stderr)
        return 1
    where = f'ROS 2 {ros}' if ros else 'ROS 2 Jazzy from wheels'
    print(
        f'setup: ready in {time.monotonic() - started:.0f} s ({where}). Next: make demo, or source env.sh'
    )
    return 0


def check_python() -> None:
    """Refuse a Python that the ROS 2 wheels are not built for."""
    if sys.version_info[:2] not in SUPPORTED:
        known = ' or '.join(f'{a}.{b}' for a, b in SUPPORTED)
        raise SetupError(
            f'Python {sys.version_info[0]}.{sys.version_info[1]} ({sys.executable}) is not supported; '
            f'Python {known} is. Name one: make setup PYTHON=python3.11'
        )


def check_place() -> None:
    """Refuse a path that the first line of a script cannot name."""
    if any(letter.isspace() for letter in str(ROOT)):
        raise SetupError(
            f'the path {str(ROOT)!r} has a space in it: scripts name their Python in a first line that ends at a '
            'space, so none would start; move the checkout to a path without one'
        )


def ros_install() -> str:
    """Name of the ROS 2 distribution that is sourced, or '' when the wheels are to be used."""
    distro = os.environ.get('ROS_DISTRO', '')
    if not distro or os.environ.get('LWD_ROS') == 'wheels':
        return ''
    if distro != 'jazzy':
        raise SetupError(
            f'ROS 2 {distro!r} is sourced, this project is built for jazzy; source jazzy, or open a shell '
            'without ROS to use the wheels'
        )
    return distro


def missing_packages() -> list[str]:
    """Debian and Ubuntu packages that have what the system lacks."""
    missing = [
        package for command, package in SYSTEM_COMMANDS.items() if shutil.which(command) is None
    ]
    listing = subprocess.run(
        ['/sbin/ldconfig', '-p'], capture_output=True, text=True, check=False
    ).stdout
    if not any(name in listing for name in SYSTEM_LIBRARIES):
        missing += MESA_PACKAGES
    python = f'python{sys.version_info[0]}.{sys.version_info[1]}'
    if subprocess.run(
        [sys.executable, '-m', 'ensurepip', '--version'], capture_output=True, check=False
    ).returncode:
        missing.append(f'{python}-venv')
    # Other Pythons bring their headers along, and the system's would be the wrong ones for them.
    if sys.base_prefix == '/usr' and not Path(sysconfig.get_path('include'), 'Python.h').exists():
        missing.append(f'{python}-dev')
    return missing


def install_system_packages() -> None:
    """Install what is missing when root; otherwise name all of it in one message."""
    missing = missing_packages()
    if not missing:
        return
    command = f'apt-get install -y {" ".join(missing)}'
    if os.geteuid() != 0 or shutil.which('apt-get') is None:
        raise SetupError(
            f'system packages are missing; run this once, then make setup again:\n  sudo {command}'
        )
    print(f'setup: {command}')
    environment = {**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'}
    subprocess.run(['apt-get', 'update', '-qq'], check=False, env=environment)
    if subprocess.run(
        ['apt-get', 'install', '-y', '-qq', *missing], env=environment, check=False
    ).returncode:
        raise SetupError(f'"{command}" failed; see its message above')


def make_environment(ros: str, verbose: bool) -> None:
    """Create the virtual environment and install the locked packages into it."""
    locks = [ROOT / 'requirements' / name for name in ('lwd.lock', 'build.lock')]
    if not ros:
        locks.append(ROOT / 'requirements' / 'ros.lock')
    wheels_tool = sorted((ROOT / 'tools' / 'ros2_wheels').rglob('pyproject.toml'))
    # The same in a shell where the environment is active: there sys.prefix is another, sys.base_prefix is not.
    made_for = f'{ros or "wheels"} {sys.version_info[:2]} {sys.base_prefix} {ROOT}'
    stamp = digest([*locks, *wheels_tool], made_for)
    if read_stamp('environment') == stamp:
        return
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES:
        raise SetupError(
            f'{free / 1e9:.1f} GB free at {ROOT}, {NEEDED_BYTES / 1e9:.1f} GB needed; free some first'
        )
    if read_stamp('venv') != made_for:
        # All of them name this place and the ROS that they were made for, CMake's cache included.
        for folder in (STAMPS, VENV, ROOT / 'build', ROOT / 'install'):
            shutil.rmtree(folder, ignore_errors=True)
        # The base, for sys.executable may be the one that has just been removed.
        step('virtual environment', [sys._base_executable, '-m', 'venv', str(VENV)], verbose)
        write_stamp('venv', made_for)
    python = str(VENV / 'bin' / 'python')
    pip = [python, '-m', 'pip', '--disable-pip-version-check', 'install', '-q']
    step(
        'packages',
        [*pip, '--no-deps', *(word for lock in locks for word in ('-r', str(lock)))],
        verbose,
    )
    # Apart from the lock: the same pin is a CPU build or one with CUDA libraries, by where it comes from.
    step('torch', [*pip, '-r', str(ROOT / 'requirements' / 'torch.lock')], verbose)
    if not ros:
        step('wheel paths', [python, str(ROOT / 'tools' / 'setup' / 'mend_wheels.py')], verbose)
        editable = ['--no-deps', '--no-build-isolation', '-e', str(ROOT / 'tools' / 'ros2_wheels')]
        step('ros2 command', [*pip, *editable], verbose)
    write_stamp('environment', stamp)


def check_rclpy(ros: str) -> None:
    """Refuse an environment whose Python the sourced ROS 2 was not built for."""
    python = VENV / 'bin' / 'python'
    done = subprocess.run(
        [str(python), '-c', 'import rclpy'], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SetupError(
            f'Python {sys.version_info[0]}.{sys.version_info[1]} cannot import rclpy of the sourced ROS 2 {ros}; if '
            f'that was built for another, name it: make setup PYTHON=/usr/bin/python3\n{done.stderr.rstrip()}'
        )


def build_inputs() -> list[Path]:
    """Files below src/ that a build reads or installs; Python modules are used where they lie."""
    patterns = (
        'setup.py', 'setup.cfg', 'CMakeLists.txt', '*.msg', '*.srv', '*.launch.py', '*.xml', '*.yaml', '*.rviz',
    )  # fmt: skip
    source = ROOT / 'src'
    return [*source.glob('*/resource/*'), *(p for name in patterns for p in source.rglob(name))]


def build_packages(ros: str, verbose: bool) -> None:
    """Build the ROS packages in place (python files stay editable)."""
    stamp = digest([*build_inputs(), ROOT / 'colcon.meta'], read_stamp('environment'))
    if read_stamp('build') == stamp:
        return
    environment = {
        **os.environ,
        'PATH': f'{VENV}/bin:{os.environ["PATH"]}',
        'VIRTUAL_ENV': str(VENV),
    }
    if not ros:
        environment.update(
            AMENT_PREFIX_PATH=str(VENV), CMAKE_PREFIX_PATH=str(VENV), ROS_DISTRO='jazzy'
        )
    command = [
        str(VENV / 'bin' / 'colcon'), '--log-base', str(ROOT / 'log'), 'build', '--symlink-install',
        '--base-paths', str(ROOT / 'src'), '--build-base', str(ROOT / 'build'),
        '--install-base', str(ROOT / 'install'), '--metas', str(ROOT / 'colcon.meta'),
        '--cmake-args', f'-DPython3_EXECUTABLE={VENV}/bin/python',
    ]  # fmt: skip
    step('build', command, verbose, environment)
    write_stamp('build', stamp)


def step(
    name: str, command: list[str], verbose: bool, environment: dict[str, str] | None = None
) -> None:
    """Run one command; on failure show the end of what it printed."""
    started = time.monotonic()
    print(f'setup: {name} ...', end='' if not verbose else '\n', flush=True)
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        check=False,
        text=True,
        stdout=None if verbose else subprocess.PIPE,
        stderr=None if verbose else subprocess.STDOUT,
    )
    print(f' {time.monotonic() - started:.0f} s')
    if done.returncode:
        tail = '\n'.join((done.stdout or '').splitlines()[-25:])
        raise SetupError(f'{name} failed (exit {done.returncode}): {" ".join(command)}\n{tail}')


def digest(paths: list[Path], extra: str) -> str:
    """Hash of the files' names and contents and of `extra`."""
    sha = hashlib.sha256(extra.encode())
    for path in sorted(set(paths)):
        sha.update(str(path.relative_to(ROOT)).encode() + b'\0' + path.read_bytes())
    return sha.hexdigest()


def read_stamp(name: str) -> str:
    """What an earlier run left for this step, '' when it never finished."""
    path = STAMPS / name
    return path.read_text() if path.exists() else ''


def write_stamp(name: str, value: str) -> None:
    """Remember that this step finished with these inputs."""
    STAMPS.mkdir(parents=True, exist_ok=True)
    (STAMPS / name).write_text(value)


if __name__ == '__main__':
    sys.exit(main())
