"""The end: SIGINT, SIGTERM, SIGKILL in this order, to whole groups, and nothing is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from launch import LaunchDescription, LaunchService
from launch.actions import ExecuteProcess, OpaqueFunction, TimerAction

STUBBORN = (
    "['bash', '-c', 'trap \"echo refused\" INT TERM; echo pid $$; while :; do sleep 0.05; done']"
)


def test_sigint_ends_processes_and_the_launch_with_0(start, launch_file, is_running):
    launched = start('launch', launch_file("ExecuteProcess(cmd=['sleep', '1000']),"))
    pid = int(launched.wait_for(r'started with pid \[(\d+)\]')[1])
    launched.interrupt()
    assert launched.finish() == 0
    assert '[WARNING] [launch]: user interrupted with ctrl-c (SIGINT)\n' in launched.text
    assert "[INFO] [sleep-1]: sending signal 'SIGINT' to process[sleep-1]\n" in launched.text
    assert f"process has died [pid {pid}, exit code -2, cmd 'sleep 1000']." in launched.text
    assert not is_running(pid)


def test_process_that_ignores_signals_is_escalated_to_sigkill(start, launch_file, is_running):
    launched = start(
        'launch',
        launch_file(f"ExecuteProcess(cmd={STUBBORN}, output='screen'),"),
        'sigterm_timeout:=0.5',
        'sigkill_timeout:=0.5',
    )
    pid = int(launched.wait_for(r'pid (\d+)')[1])
    launched.interrupt()
    begin = time.monotonic()
    assert launched.finish() == 0
    assert 0.9 < time.monotonic() - begin < 5
    order = re.findall(r"(sending signal '\w+'|escalating to '\w+'|exit code -9)", launched.text)
    assert order == [
        "sending signal 'SIGINT'",
        "escalating to 'SIGTERM'",
        "sending signal 'SIGTERM'",
        "escalating to 'SIGKILL'",
        "sending signal 'SIGKILL'",
        'exit code -9',
    ]
    assert (
        "[ERROR] [bash-1]: process[bash-1] failed to terminate '0.5' seconds after receiving "
        "'SIGINT', escalating to 'SIGTERM'" in launched.text
    )
    assert not is_running(pid)


def test_children_of_children_are_ended_even_if_they_ignore_sigint(start, launch_file, is_running):
    script = "trap '' INT; sleep 1000 & echo child $!; trap - INT; exec sleep 1001"
    launched = start(
        'launch',
        launch_file(
            f'ExecuteProcess(cmd=["bash", "-c", "{script}"], output="screen", '
            'sigterm_timeout="0.3"),'
        ),
    )
    child = int(launched.wait_for(r'child (\d+)')[1])
    launched.interrupt()
    assert launched.finish() == 0
    assert not is_running(child)


def test_what_a_finished_process_left_behind_is_ended_with_the_launch(
    start, launch_file, is_running
):
    launched = start(
        'launch',
        launch_file("""
        SetLaunchConfiguration('sigterm_timeout', '0.3'),  # bash lets its jobs ignore SIGINT
        ExecuteProcess(cmd=['bash', '-c', 'sleep 1000 & echo child $!'], output='screen'),
        ExecuteProcess(cmd=['sleep', '1001']),
    """),
    )
    child = int(launched.wait_for(r'child (\d+)')[1])
    launched.wait_for('finished cleanly')
    assert is_running(child, within_s=0.2)
    launched.interrupt()
    assert launched.finish() == 0
    assert not is_running(child)


def test_sigterm_ends_everything_in_order_with_exit_code_1(start, launch_file, is_running):
    launched = start('launch', launch_file("ExecuteProcess(cmd=['sleep', '1000']),"))
    pid = int(launched.wait_for(r'started with pid \[(\d+)\]')[1])
    launched.interrupt(signal.SIGTERM)
    assert launched.finish() == 1
    assert 'user interrupted with ctrl-\\ (SIGTERM), terminating...' in launched.text
    assert not is_running(pid)


def test_second_ctrl_c_is_told_and_the_escalation_goes_on(start, launch_file, is_running):
    launched = start(
        'launch',
        launch_file(f"ExecuteProcess(cmd={STUBBORN}, output='screen'),"),
        'sigterm_timeout:=1',
        'sigkill_timeout:=0.3',
    )
    pid = int(launched.wait_for(r'pid (\d+)')[1])
    launched.interrupt()
    launched.wait_for('refused')
    launched.interrupt()
    launched.wait_for(r'ctrl-c \(SIGINT\) again, ignoring\.\.\.')
    assert launched.finish() == 0
    assert not is_running(pid)


def test_respawn_delay_does_not_hold_up_the_end(start, launch_file):
    launched = start(
        'launch', launch_file("ExecuteProcess(cmd=['false'], respawn=True, respawn_delay=1000.0),")
    )
    launched.wait_for('process has died')
    launched.interrupt()
    begin = time.monotonic()
    assert launched.finish() == 0
    assert time.monotonic() - begin < 5


def test_ctrl_c_of_a_terminal_reaches_the_processes_once(launch_file, tmp_path):
    """With a terminal ROS 2 does not say that it sends the first SIGINT; here it is sent."""
    path = launch_file(
        "ExecuteProcess(cmd=['bash', '-c', 'trap \"echo got it; exit 0\" INT; echo up; "
        "while :; do sleep 0.05; done'], output='screen'),"
    )
    ros2 = Path(sys.executable).with_name('ros2')
    main, side = os.openpty()
    with subprocess.Popen(
        [ros2, 'launch', path], stdin=side, stdout=subprocess.PIPE, text=True
    ) as process:
        text = ''
        while '[bash-1] up' not in text:
            text += process.stdout.readline()
        process.send_signal(signal.SIGINT)
        text += process.stdout.read()
    os.close(main)
    os.close(side)
    assert text.count('got it') == 1
    assert 'sending signal' not in text
    assert process.returncode == 0


def test_the_service_can_be_used_from_python_and_leaves_signal_handlers_alone(capsys):
    before = signal.getsignal(signal.SIGINT)
    process = ExecuteProcess(cmd=['sleep', '1000'], cached_output=True)
    service = LaunchService(noninteractive=True)
    stop = TimerAction(
        period=0.2, actions=[OpaqueFunction(function=lambda context: service.shutdown())]
    )
    service.include_launch_description(LaunchDescription([process, stop]))
    assert service.run() == 0
    assert process.return_code == -signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is before
    echo = ExecuteProcess(cmd=['echo', 'hello'], cached_output=True)
    service = LaunchService(noninteractive=True)
    service.include_launch_description(LaunchDescription([echo]))
    assert service.run() == 0
    assert echo.get_stdout() == 'hello\n'
    capsys.readouterr()


def test_the_service_runs_in_the_main_thread_only():
    import threading

    errors = []

    def run():
        with pytest.raises(RuntimeError) as error:
            LaunchService().run()
        errors.append(str(error.value))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert errors == ['LaunchService can only be run in the main thread.']
