"""Shared by the tests: a package in a prefix of its own, and launches that can be watched."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import launch.logging
import pytest
import ros2_wheels

_PACKAGE = Path(__file__).parent / 'probe_package'
_PROFILE = Path(ros2_wheels.__file__).with_name('fastdds_localhost.xml')
ROS_ENVIRONMENT = {
    'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
    'FASTRTPS_DEFAULT_PROFILES_FILE': str(_PROFILE),
}
_ROS2 = str(Path(sys.executable).with_name('ros2'))


@pytest.fixture(autouse=True)
def own_log_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test logs to a folder of its own, and its nodes stay on this machine."""
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path / 'log'))
    for name, value in ROS_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    launch.logging.reset()
    yield tmp_path / 'log'
    launch.logging.reset()


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prefix with the package `probe_pkg`, in front on AMENT_PREFIX_PATH."""
    prefix = tmp_path / 'prefix'
    marker = prefix / 'share/ament_index/resource_index/packages/probe_pkg'
    marker.parent.mkdir(parents=True)
    marker.touch()
    (prefix / 'share/probe_pkg/launch').mkdir(parents=True)
    shutil.copytree(_PACKAGE, prefix / 'lib/probe_pkg')
    for script in (prefix / 'lib/probe_pkg').iterdir():
        script.write_text(
            script.read_text().replace('#!/usr/bin/env python3', f'#!{sys.executable}')
        )
    paths = [str(prefix), os.environ.get('AMENT_PREFIX_PATH', sys.prefix)]
    monkeypatch.setenv('AMENT_PREFIX_PATH', os.pathsep.join(paths))
    return prefix


LaunchFile = Callable[..., Path]


@pytest.fixture
def launch_file(tmp_path: Path) -> LaunchFile:
    """Writes a launch file whose description holds the given actions."""

    def write(actions: str, name: str = 'test.launch.py', folder: Path = tmp_path) -> Path:
        body = textwrap.indent(textwrap.dedent(actions).strip(), ' ' * 8)
        path = folder / name
        path.write_text(
            'import sys\n'
            'from launch import LaunchDescription\n'
            'from launch.actions import *\n'
            'from launch.conditions import *\n'
            'from launch.event_handlers import *\n'
            'from launch.events import Shutdown as ShutdownEvent\n'
            'from launch.events import process as process_events\n'
            'from launch.launch_description_sources import PythonLaunchDescriptionSource\n'
            'from launch.substitutions import *\n'
            'from launch_ros.actions import *\n'
            'from launch_ros.parameter_descriptions import *\n'
            'from launch_ros.substitutions import *\n'
            'def generate_launch_description():\n'
            f'    return LaunchDescription([\n{body}\n    ])\n'
        )
        return path

    return write


class Running:
    """A started command whose output can be waited for."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.text = ''

    def wait_for(self, pattern: str, count: int = 1) -> re.Match[str]:
        """Read output until `pattern` has occurred `count` times; return the last match."""
        assert self.process.stdout is not None
        while len(found := list(re.finditer(pattern, self.text))) < count:
            line = self.process.stdout.readline()
            assert line, f'{pattern!r} did not come; the output was:\n{self.text}'
            self.text += line
        return found[count - 1]

    def finish(self) -> int:
        """Read to the end and return the exit code."""
        assert self.process.stdout is not None
        self.text += self.process.stdout.read()
        return self.process.wait(timeout=60)

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send a signal to the command alone."""
        self.process.send_signal(number)


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Starts `ros2 <arguments>`; what still runs at the end of the test is ended."""
    started: list[Running] = []

    def start_ros2(*arguments: str | Path) -> Running:
        running = Running([_ROS2, *map(str, arguments)])
        started.append(running)
        return running

    yield start_ros2
    for running in started:
        if running.process.poll() is None:
            running.interrupt()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.process.wait(timeout=20)
            running.process.kill()
        assert running.process.stdout is not None
        running.process.stdout.close()


@pytest.fixture
def ros2() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `ros2 <arguments>` to its end."""

    def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [_ROS2, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **options,
        )

    return run


@pytest.fixture
def is_running() -> Callable[[int], bool]:
    """Tells whether a process runs (zombies do not), within the time that an end takes."""

    def check(pid: int, within_s: float = 2.0) -> bool:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            try:
                state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
            except (FileNotFoundError, ProcessLookupError):
                return False
            if state in 'ZX':
                return False
            time.sleep(0.02)
        return True

    return check


@pytest.fixture
def probe_output() -> Callable[[str], list[dict[str, Any]]]:
    """Returns what the probe nodes printed."""

    def parse(text: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in re.findall(r'PROBE (\{.*\})', text)]

    return parse
