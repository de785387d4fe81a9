"""Signals end a wait, whenever they come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from lwd_policy_node.stop_signal import StopSignal


@pytest.fixture
def stop():
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    yield StopSignal()
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait(stop, number):
    assert not stop.wait(0.01) and not stop.is_set()
    threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
    assert stop.wait(60.0)
    assert stop.is_set()
    assert stop.wait(60.0), 'a set flag is not waited for'


def test_a_signal_in_the_middle_of_a_wait_blocks_nobody():
    """The waiting of a node, at the tempo of thousands, is hit by signals at moments that nobody chooses."""
    program = (
        'from lwd_policy_node.stop_signal import StopSignal\n'
        'stop = StopSignal()\n'
        'print("ready", flush=True)\n'
        'while not stop.is_set():\n'
        '    stop.wait(0.0)\n'
    )
    for _ in range(5):
        with subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline()
            time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0
