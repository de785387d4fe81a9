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
        ros = ros_install()
        install_system_packages()
        make_environment(ros, arguments.verbose)
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
    if shutil.which('colcon') is None:
        raise SetupError(
            'ROS 2 is sourced but colcon is missing: apt-get install python3-colcon-common-extensions'
        )
    return distro


def install_system_packages() -> None:
    """Install what is missing when root; otherwise name all of it in one message."""
    missing = [
        package for command, package in SYSTEM_COMMANDS.items() if shutil.which(command) is None
    ]
    listing = subprocess.run(
        ['/sbin/ldconfig', '-p'], capture_output=True, text=True, check=False
    ).stdout
    if not any(name in listing for name in SYSTEM_LIBRARIES):
        missing += MESA_PACKAGES
    if subprocess.run(
        [sys.executable, '-m', 'ensurepip', '--version'], capture_output=True, check=False
    ).returncode:
        missing.append(f'python{sys.version_info[0]}.{sys.version_info[1]}-venv')
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
    locks = [ROOT / 'requirements' / 'lwd.lock']
    if not ros:
        locks.append(ROOT / 'requirements' / 'ros.lock')
    wheels_tool = sorted((ROOT / 'tools' / 'ros2_wheels').rglob('pyproject.toml'))
    stamp = digest([*locks, *wheels_tool], f'{sys.version_info[:2]} {sys.prefix} {ros}')
    if read_stamp('environment') == stamp:
        return
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES:
        raise SetupError(
            f'{free / 1e9:.1f} GB free at {ROOT}, {NEEDED_BYTES / 1e9:.1f} GB needed; free some first'
        )
    if not same_python(VENV):
        shutil.rmtree(VENV, ignore_errors=True)
        step('virtual environment', [sys.executable, '-m', 'venv', str(VENV)], verbose)
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


def build_packages(ros: str, verbose: bool) -> None:
    """Build the ROS packages in place (python files stay editable)."""
    inputs = [
        path
        for pattern in (
            'package.xml',
            'setup.py',
            'setup.cfg',
            'CMakeLists.txt',
            '*.msg',
            '*.srv',
            '*.launch.py',
        )
        for path in (ROOT / 'src').rglob(pattern)
    ]
    inputs += [
        path
        for path in (ROOT / 'src' / 'lwd_bringup').rglob('*.*')
        if path.suffix in ('.yaml', '.rviz')
    ]
    stamp = digest([*inputs, ROOT / 'colcon.meta'], read_stamp('environment'))
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
        'colcon', '--log-base', str(ROOT / 'log'), 'build', '--symlink-install', '--base-paths', str(ROOT / 'src'),
        '--build-base', str(ROOT / 'build'), '--install-base', str(ROOT / 'install'), '--metas',
        str(ROOT / 'colcon.meta'), '--cmake-args', f'-DPython3_EXECUTABLE={VENV}/bin/python',
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


def same_python(venv: Path) -> bool:
    """Whether the environment exists and was made by this very Python."""
    python = venv / 'bin' / 'python'
    if not python.exists():
        return False
    code = 'import sys; print(sys.version_info[:2], sys.base_prefix)'
    found = subprocess.run(
        [str(python), '-c', code], capture_output=True, text=True, check=False
    ).stdout
    return found.strip() == f'{sys.version_info[:2]} {sys.base_prefix}'


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
