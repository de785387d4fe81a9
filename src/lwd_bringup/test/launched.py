"""A launch file under test in its own ROS domain, and a node that looks on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

STANDINS = Path(__file__).parent / 'standins'


class Launched:
    """`ros2 launch lwd_bringup FILE name:=value ...` until `close`."""

    def __init__(
        self, home: Path, domain_id: int, namespace: str, file: str, **arguments: str
    ) -> None:
        self.home = home
        self.environment = {
            **os.environ,
            'ROS_DOMAIN_ID': str(domain_id),
            'LWD_HOME': str(home),
            'OMP_NUM_THREADS': '1',
            'STANDIN_REPORT': str(home),
            'AMENT_PREFIX_PATH': f'{home / "prefix"}:{os.environ["AMENT_PREFIX_PATH"]}',
        }
        self.others: list[subprocess.Popen[bytes]] = []
        self.log = (home / 'launch.log').open('wb')
        words = ['ros2', 'launch', 'lwd_bringup', file]
        words += [f'{name}:={value}' for name, value in arguments.items()]
        self.process = subprocess.Popen(
            words, env=self.environment, start_new_session=True, stdout=self.log, stderr=self.log
        )
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.node = Node('onlooker', namespace=namespace, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def start(self, standin: str, namespace: str) -> None:
        """Run a stand-in beside the launch."""
        command = [sys.executable, str(STANDINS / f'{standin}.py')]
        command += ['--ros-args', '-r', f'__ns:=/{namespace}']
        self.others.append(subprocess.Popen(command, env=self.environment))

    def wait(self, what: str, until: Callable[[], object], timeout_s: float = 90.0) -> Any:
        """Spin until `until()` is something, and return it."""
        end = time.monotonic() + timeout_s
        while not (found := until()):
            assert time.monotonic() < end, (
                f'waited {timeout_s} s for {what}\n{self.said()[-4000:]}'
            )
            self.executor.spin_once(timeout_sec=0.05)
        return found

    def collect(self, kind: Any, topic: str, profile: Any) -> list[Any]:
        """A list that grows with what arrives on `topic`."""
        messages: list[Any] = []
        self.node.create_subscription(kind, topic, messages.append, profile)
        return messages

    def call(self, kind: Any, name: str, request: Any) -> Any:
        """One service call."""
        client = self.node.create_client(kind, name)
        self.wait(f'service {name}', client.service_is_ready)
        future = client.call_async(request)
        self.wait(f'reply of {name}', future.done)
        return future.result()

    def said(self) -> str:
        """What the launch and its nodes have printed so far."""
        return (self.home / 'launch.log').read_text(errors='replace')

    def close(self) -> None:
        """End everything; the launch as by Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        for other in self.others:
            other.terminate()
        for process in (self.process, *self.others):
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
        self.log.close()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def install_standin(prefix: Path, package: str) -> None:
    """Make `package`, with one executable of its name, findable below `prefix`."""
    index = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages'
    index.mkdir(parents=True, exist_ok=True)
    (index / package).write_text('')
    executable = prefix / 'lib' / package / package
    executable.parent.mkdir(parents=True)
    executable.write_text(
        f'#!/bin/sh\nexec {sys.executable} {STANDINS / package}.py "$@"\n', encoding='utf-8'
    )
    executable.chmod(0o755)
