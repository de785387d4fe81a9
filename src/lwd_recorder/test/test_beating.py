"""Recorder and uploader leave at the signal, not at their next beat, and finish their work whatever ends it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
import rclpy
from lwd_policy_node.stop_signal import StopSignal
from lwd_recorder.nodes.beating import beat_until_stopped
from rclpy.executors import SingleThreadedExecutor


class Worker:
    """Notes what it is asked to do."""

    def __init__(self, beat_s: float, failure: Exception | None = None) -> None:
        self.beat_s = beat_s
        self.done: list[str] = []
        self._failure = failure

    def beat(self) -> None:
        self.done.append('beat')
        if self._failure is not None:
            raise self._failure

    def finish(self) -> None:
        self.done.append('finish')


@pytest.fixture
def executor() -> Iterator[SingleThreadedExecutor]:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=219)
    executor = SingleThreadedExecutor(context=context)
    yield executor
    executor.shutdown()
    rclpy.shutdown(context=context)


@pytest.fixture
def stopping() -> Iterator[StopSignal]:
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    yield StopSignal()
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_for_the_next_beat(
    executor: SingleThreadedExecutor, stopping: StopSignal, number: signal.Signals
) -> None:
    """Which would be in an hour."""
    worker = Worker(beat_s=3600.0)
    threading.Timer(0.1, os.kill, (os.getpid(), number)).start()
    beat_until_stopped(worker, executor, stopping)
    assert worker.done == ['beat', 'finish']


def test_work_is_finished_after_an_error_too(
    executor: SingleThreadedExecutor, stopping: StopSignal
) -> None:
    worker = Worker(beat_s=0.0, failure=RuntimeError('the writer has died'))
    with pytest.raises(RuntimeError, match='the writer has died'):
        beat_until_stopped(worker, executor, stopping)
    assert worker.done == ['beat', 'finish']
