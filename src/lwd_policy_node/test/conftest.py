"""Real processes over real DDS, and a node of the test's own beside them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

HERE = Path(__file__).parent


class DdsBench:
    """Processes of one robot in one ROS domain, and the test's own node in its namespace."""

    def __init__(self, domain_id: int, namespace: str, home: Path) -> None:
        self.namespace = namespace
        self.environment = {
            **os.environ,
            'ROS_DOMAIN_ID': str(domain_id),
            'LWD_HOME': str(home),
            'OMP_NUM_THREADS': '1',
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.node = Node('bench', namespace=namespace, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def start(self, program: str, **parameters: object) -> subprocess.Popen[bytes]:
        """Run a node of the package, or a script of this folder, by name."""
        script = HERE / f'{program}.py'
        where = [str(script)] if script.exists() else ['-m', f'lwd_policy_node.nodes.{program}']
        arguments = ['--ros-args', '-r', f'__ns:=/{self.namespace}']
        for name, value in parameters.items():
            arguments += ['-p', f'{name}:={value}']
        process = subprocess.Popen(
            [sys.executable, *where, *arguments], env=self.environment, start_new_session=True
        )
        self.processes.append(process)
        return process

    def collect(self, kind: Any, topic: str, profile: Any) -> list[Any]:
        """A list that grows with what arrives on `topic`."""
        messages: list[Any] = []
        self.node.create_subscription(kind, topic, messages.append, profile)
        return messages

    def wait(self, what: str, until: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Spin until `until()`; fail saying what was waited for."""
        end = time.monotonic() + timeout_s
        while not until():
            assert time.monotonic() < end, f'waited {timeout_s} s for {what}'
            self.executor.spin_once(timeout_sec=0.05)

    def call(self, kind: Any, name: str, request: Any) -> Any:
        """One service call."""
        client = self.node.create_client(kind, name)
        self.wait(f'service {name}', client.service_is_ready)
        future = client.call_async(request)
        self.wait(f'reply of {name}', future.done)
        self.node.destroy_client(client)
        return future.result()

    def stop(self, process: subprocess.Popen[bytes], signal_number: int = signal.SIGTERM) -> int:
        """End one process of this bench; its exit code."""
        process.send_signal(signal_number)
        return process.wait(timeout=15)

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[[int, str], DdsBench]]:
    """Make benches that are closed at the end of the test: `make_bench(domain_id, namespace)`."""
    benches: list[DdsBench] = []

    def make(domain_id: int, namespace: str) -> DdsBench:
        benches.append(DdsBench(domain_id, namespace, tmp_path))
        return benches[-1]

    yield make
    for bench in benches:
        bench.close()
