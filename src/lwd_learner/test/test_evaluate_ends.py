"""A robot launched for evaluation ends with it, whichever is killed; its nodes may finish what they write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lwd_learner.evaluation.command import INTERRUPTED
from lwd_policy_node.policy import Policy, preset
from lwd_policy_node.profile import load_profile

pytestmark = pytest.mark.launch
DOMAIN = '212'
NODE = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def finish(*_):
    time.sleep(0.5)  # a node that has something to write
    (folder / 'finished').touch()
    sys.exit()
signal.signal(signal.SIGINT, finish)
signal.signal(signal.SIGTERM, finish)
(folder / 'node.part').write_text(str(os.getpid()))
(folder / 'node.part').rename(folder / 'node')
signal.pause()
"""
LAUNCH = f"""#!{sys.executable}
import pathlib, os, signal, subprocess, sys
folder = os.environ['STANDIN_REPORT']
node = subprocess.Popen([sys.executable, '-c', {NODE!r}, folder], start_new_session=True)
signal.signal(signal.SIGINT, lambda *_: node.send_signal(signal.SIGINT))
(pathlib.Path(folder) / 'launch').write_text(str(os.getpid()))
node.wait()
"""


class Evaluation:
    """`evaluate --through-ros` with a stand-in for `ros2 launch` that, like it, has its node in another group."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        torch.manual_seed(0)
        policy = Policy(preset('tiny', load_profile('g1_laptop'), label_dim=6))
        policy.save(folder / 'policy.safetensors')
        ros2 = folder / 'bin' / 'ros2'
        ros2.parent.mkdir()
        ros2.write_text(LAUNCH)
        ros2.chmod(0o755)
        words = [str(folder / 'policy.safetensors'), '--through-ros', '--domain-id', DOMAIN]
        environment = {'PATH': f'{ros2.parent}:{os.environ["PATH"]}', 'TMPDIR': str(folder)}
        with (folder / 'said').open('wb') as said:
            self.process = subprocess.Popen(
                [sys.executable, '-m', 'lwd_learner.evaluation.command', *words],
                env={**os.environ, **environment, 'STANDIN_REPORT': str(folder)},
                stdout=said,
                stderr=said,
                # as a script starts its background jobs
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
            )
        _wait((folder / 'node').exists)
        self.node, self.launch = (int((folder / name).read_text()) for name in ('node', 'launch'))

    @property
    def finished(self) -> bool:
        """Whether the node could write to the end."""
        return (self._folder / 'finished').exists()

    def said(self) -> str:
        return (self._folder / 'said').read_text()

    def folders_left(self) -> list[Path]:
        return list(self._folder.glob('lwd_evaluation_*'))


@pytest.fixture
def evaluation(tmp_path):
    made = Evaluation(tmp_path)
    yield made
    made.process.kill()
    made.process.wait()
    for pid in (made.launch, made.node):
        if _alive(pid):
            os.kill(pid, signal.SIGKILL)


def test_a_robot_ends_in_order_with_an_evaluation_that_is_killed(evaluation):
    evaluation.process.kill()
    _wait(lambda: not _alive(evaluation.launch) and not _alive(evaluation.node))
    assert evaluation.finished


def test_nodes_of_a_launch_that_is_killed_are_ended_and_the_evaluation_says_so(evaluation):
    os.kill(evaluation.launch, signal.SIGKILL)
    assert evaluation.process.wait(60) == 1
    assert 'the robot ended while waiting' in evaluation.said()
    assert not _alive(evaluation.node)
    assert evaluation.finished
    assert evaluation.folders_left() == []


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_robot_in_order_and_is_told_in_a_line(evaluation, number):
    evaluation.process.send_signal(number)
    assert evaluation.process.wait(60) == INTERRUPTED
    assert not _alive(evaluation.node)
    assert evaluation.finished
    assert evaluation.said() == 'evaluate: interrupted\n'
    assert evaluation.folders_left() == []


def _alive(pid: int) -> bool:
    try:
        stat = Path(f'/proc/{pid}/stat').read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(')')[2].split()[0] != 'Z'


def _wait(until: Callable[[], bool]) -> None:
    """A process of others has no event to wait on."""
    give_up_s = time.monotonic() + 90.0
    while not until():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)
